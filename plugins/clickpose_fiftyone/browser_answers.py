"""What the canvas of the Refine panel is given to have a person follow in the browser, under the moving mouse.

The parts are those of Label Studio's bridge (:mod:`clickpose_labelstudio.browser_decoding`), and so is the worker that
takes them; here they are asked for by events of the panel.
"""

from __future__ import annotations

import os
from functools import cache

from clickpose.predictor import EncodedRegion, PosePredictor
from clickpose_labelstudio.browser_decoding import BrowserDecoding, NotInBrowser
from clickpose_labelstudio.settings import ServiceSettings

DECODER, RUNTIME = "decoder", "runtime"
_SWITCH = "CLICKPOSE_BROWSER_DECODING"


def browser_part(part: str, predictor: PosePredictor) -> dict:
    """Return a part that a browser keeps: the runtime, or the decoder of a network.

    Raises:
        ValueError: for another part.
    """
    if part == RUNTIME:
        return _decoding().runtime()
    if part != DECODER:
        raise ValueError(f"Expected {RUNTIME} or {DECODER}, got {part!r}")
    try:
        return _decoding().decoder(predictor)
    except NotInBrowser as reason:
        return _unavailable(reason)


def browser_person(predictor: PosePredictor, region: EncodedRegion) -> dict:
    """Return what a browser needs to answer clicks on a person; ``unavailable`` and ``reason`` where it cannot."""
    try:
        return _decoding().person(predictor, region)
    except NotInBrowser as reason:
        return _unavailable(reason)


def _unavailable(reason: NotInBrowser) -> dict:
    return {"unavailable": reason.what, "reason": str(reason)}


@cache
def _decoding() -> BrowserDecoding:
    """Return what this process hands out; the environment's ``CLICKPOSE_BROWSER_DECODING=no`` switches it off."""
    setting = ServiceSettings.from_environment({_SWITCH: os.environ.get(_SWITCH, "")})
    return BrowserDecoding(allowed=setting.browser_decoding)
