"""The bridge script with its configuration: as the launcher's middleware, a web server or a userscript delivers it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rjsmin import jsmin

from clickpose.skeleton import COCO, Skeleton
from clickpose_labelstudio.launch.es_modules import bundle

SOURCES = Path(__file__).parents[1] / "static" / "bridge"
ENTRY = "main"
# What came of it stands in ml_backend/README.md; the last one is what `make setup` installs.
TRIED_LABEL_STUDIO = ("1.18.0", "1.19.0", "1.20.0", "1.21.0", "1.22.0", "1.23.2")

USERSCRIPT_HEADER = """\
// ==UserScript==
// @name         Click-Pose bridge
// @description  Drag one keypoint in Label Studio, the rest of that person follows; draws the bones.
// @version      {version}
// @match        {match}
// @grant        none
// @run-at       document-idle
// ==/UserScript==
"""


@dataclass(frozen=True)
class BridgeConfig:
    """What the page must know.

    Attributes:
        skeleton: joints and bones.
        tried_versions: Label Studio versions that the bridge has been tried with; on others it says that it has not,
            and does what their page allows (``label_studio/probes.js``).
        timeout_s: seconds after which an answer of the backend is no longer waited for.
    """

    skeleton: Skeleton = COCO
    tried_versions: tuple[str, ...] = TRIED_LABEL_STUDIO
    timeout_s: float = 10.0

    def as_json(self) -> str:
        """Return the configuration as the script reads it."""
        names = self.skeleton.names
        return json.dumps(
            {
                "joints": list(names),
                "bones": [[names[a], names[b]] for a, b in self.skeleton.edges],
                "triedVersions": list(self.tried_versions),
                "timeoutMs": round(1000 * self.timeout_s),
            }
        )


def bridge_script(config: BridgeConfig = BridgeConfig()) -> str:
    """Return the whole script: its configuration, then the modules of ``static/bridge`` in one, minified."""
    return f"window.__clickposeConfig = {config.as_json()};\n{jsmin(bundle(SOURCES, ENTRY))}\n"


def userscript(match: str, version: str, config: BridgeConfig = BridgeConfig()) -> str:
    """Return the script for a userscript manager.

    Args:
        match: pages to run on, such as ``https://label-studio.example.org/*``.
        version: version to write into the header.
        config: as in :func:`bridge_script`.
    """
    return USERSCRIPT_HEADER.format(match=match, version=version) + bridge_script(config)
