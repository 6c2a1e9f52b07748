"""ONNX Runtime sessions of foreign networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clickpose.first_pose.network import FirstPoseError


def open_session(path: Path, threads: int | None = None, device: str = "cpu") -> Any:
    """Open an ONNX file.

    Args:
        path: the file.
        threads: on the CPU; None for the library's own choice.
        device: ``"cpu"``, or ``"cuda"`` where ONNX Runtime has it.

    Raises:
        FirstPoseError: if it is no network, or the device cannot be had.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to torch
    providers: list = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise FirstPoseError("Expected an ONNX Runtime with CUDA (onnxruntime-gpu), got one for the CPU alone")
        index = int(device.partition(":")[2] or 0)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no other base class
        raise FirstPoseError(f"Expected an ONNX network in {path}, got none: {error}") from None
