"""ONNX Runtime, opened in one way: where, how many threads, who yields the cores, what is said of a bad file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clickpose.weights_io import WeightsError, check_present

if TYPE_CHECKING:
    import onnxruntime


def open_session(
    source: Path | bytes, wanted: str, threads: int | None = None, device: str = "cpu"
) -> onnxruntime.InferenceSession:
    """Open a network.

    Args:
        source: an ONNX file, or its bytes.
        wanted: what it should be, for the message.
        threads: of one run; None for one a physical core.
        device: ``"cpu"``, or ``"cuda"`` or ``"cuda:1"`` where ONNX Runtime has it.

    Raises:
        WeightsError: if there is no file, or no ONNX network in it.
        ValueError: if ONNX Runtime cannot use the device.
    """
    import onnxruntime

    if isinstance(source, Path):
        check_present(source, wanted)
    providers: list = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ValueError(f"Expected an ONNX Runtime for {device} (onnxruntime-gpu), got one for the CPU alone")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to torch
    try:
        given = str(source) if isinstance(source, Path) else source
        return onnxruntime.InferenceSession(given, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no other base class
        where = f" in {source}" if isinstance(source, Path) else ""
        raise WeightsError(f"Expected {wanted}{where}, got no ONNX network: {error}") from None
