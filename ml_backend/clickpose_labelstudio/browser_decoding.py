"""What a browser is given to answer edits by itself: the runtime, the decoder, and what the network saw of a person.

The bridge asks for these as it asks for everything, through Label Studio's interactive route, so that the annotator's
session and rights hold and no server needs another door; FiftyOne's plugin by events of its panel. Each comes once: the
first two are kept by the browser, the features of a person for as long as the photo is open. Whoever cannot use them is
answered as ever. The worker that takes them is ``static/bridge/instant/worker.js``.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from functools import cache
from pathlib import Path

import numpy as np

from clickpose.predictor import EncodedRegion, PosePredictor

RUNTIME = Path(__file__).parent / "static" / "runtime"  # onnxruntime-web; see the README there
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz"


class NotInBrowser(Exception):
    """This ``what``, a "network" or a "person", is answered for by the service alone; the message says why."""

    def __init__(self, what: str, why: str):
        super().__init__(why)
        self.what = what


class BrowserDecoding:
    """Hands out the parts; each is made when it is first asked for.

    Args:
        allowed: False where the operator wants all edits to be answered by the service.
    """

    def __init__(self, allowed: bool = True) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        # fingerprint -> name, graph (base64 of gzip); of the latest network
        self._decoders: dict[str, tuple[str, str]] = {}

    @staticmethod
    def runtime() -> dict:
        """Return onnxruntime-web: ``name``, ``script`` (text of a module) and ``wasm`` (base64 of gzip)."""
        return _runtime()

    def check(self, predictor: PosePredictor) -> None:
        """See whether a network can be had, before anything is done for it.

        Raises:
            NotInBrowser: if not.
        """
        self._decoder(predictor)

    def decoder(self, predictor: PosePredictor) -> dict:
        """Return the ONNX graph of a network's decoder: ``name`` (of the content) and ``graph`` (base64 of gzip).

        Raises:
            NotInBrowser: if the network has none.
        """
        name, packed = self._decoder(predictor)
        return {"name": name, "graph": packed}

    def person(self, predictor: PosePredictor, region: EncodedRegion) -> dict:
        """Return what the decoder needs of a person, from the region that the person was seen in.

        Returns:
            ``runtime`` and ``decoder`` (names), ``inputs`` (name -> ``type``, ``shape``, base64 ``data``),
            ``joint_count``.

        Raises:
            NotInBrowser: if the network has no decoder.
        """
        name, _ = self._decoder(predictor)
        return {
            "runtime": self.runtime()["name"],
            "decoder": name,
            "inputs": {key: _array(value) for key, value in predictor.standalone_inputs(region).items()},
            "joint_count": len(predictor.skeleton),
        }

    def _decoder(self, predictor: PosePredictor) -> tuple[str, str]:
        if not self._allowed:
            raise NotInBrowser("network", "It has been switched off")
        with self._lock:
            if predictor.fingerprint not in self._decoders:
                graph = predictor.standalone_decoder()
                name = "" if graph is None else hashlib.sha256(graph).hexdigest()[:16]
                content = b"" if graph is None else base64.b64encode(gzip.compress(graph, 6, mtime=0))
                self._decoders = {predictor.fingerprint: (name, content.decode())}
            name, packed = self._decoders[predictor.fingerprint]
        if not name:
            raise NotInBrowser("network", f"{predictor.name} has no decoder to be had apart")
        return name, packed


@cache
def _runtime() -> dict:
    listed = json.loads((RUNTIME / "runtime.json").read_text(encoding="utf-8"))
    wasm = (RUNTIME / WASM).read_bytes()
    return {
        "name": f"onnxruntime-web-{listed['version']}",
        "script": (RUNTIME / SCRIPT).read_text(encoding="utf-8"),
        "wasm": base64.b64encode(wasm).decode(),
    }


def _array(array: np.ndarray) -> dict:
    """Write an array, little-endian, in its own precision."""
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return {"type": array.dtype.name, "shape": list(array.shape), "data": base64.b64encode(data).decode()}
