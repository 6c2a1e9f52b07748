"""The bridge script with its configuration: as the launcher's middleware, a web server or a userscript delivers it."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from clickpose.skeleton import COCO, Skeleton

SOURCES = Path(__file__).parents[1] / "static" / "bridge"
ENTRY = "main"
IMPORT = re.compile(r'^import (?:\* as (?P<module>\w+)|(?P<names>\{[\w, ]+\})) from "(?P<file>\.[\w./]+)\.js";$', re.M)
COMMENT = re.compile(r"^[ \t]*(/\*\*.*?\*/|//[^\n]*)[ \t]*\n", re.M | re.S)  # one that has its lines for itself
EXPORT = re.compile(r"^export (?:(?:async )?function|const|class) (?P<name>\w+)", re.M)
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
    """Return the whole script: its configuration, then the modules of ``static/bridge`` in one."""
    bundle = "\n".join(_wrap(name) for name in _in_order(ENTRY))
    return (
        f"window.__clickposeConfig = {config.as_json()};\n"
        f'(() => {{\n"use strict";\nconst modules = {{}};\n\n{bundle}}})();\n'
    )


def _source(name: str) -> str:
    return (SOURCES / f"{name}.js").read_text(encoding="utf-8")


def _in_order(name: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return a module and all that it imports, each after those that it imports itself.

    Raises:
        ValueError: if modules import each other in a circle.
    """
    if name in above:
        raise ValueError(f"Expected no circle of imports, got {' -> '.join([*above, name])}")
    imported = [_module(name, match["file"]) for match in IMPORT.finditer(_source(name))]
    before = [module for other in imported for module in _in_order(other, (*above, name))]
    return list(dict.fromkeys([*before, name]))


def _module(importer: str, path: str) -> str:
    """Return the name of a module, its path below the sources, from the path by which another one imports it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), path))


def _wrap(name: str) -> str:
    """Return a module as a function that is called at once and returns what the module exports.

    A page takes one script, in one request, from servers and userscript managers that know no modules. The sources
    keep to one form of import and export each (see the patterns), so that this needs no bundler. Comments, a third of
    the sources, are for those who read these.

    Raises:
        ValueError: if a module has an import or export of another form.
    """

    def taken(path: str) -> str:
        return f'modules["{_module(name, path)}"]'

    source = COMMENT.sub("", _source(name)).lstrip("\n")
    exports = [match["name"] for match in EXPORT.finditer(source)]
    source = IMPORT.sub(lambda match: f"const {match['names'] or match['module']} = {taken(match['file'])};", source)
    source = EXPORT.sub(lambda match: match[0].removeprefix("export "), source)
    other = re.search(r"^(import|export)\b.*", source, re.M)
    if other:
        raise ValueError(f"Expected {name}.js to import and export as the other modules do, got: {other[0]}")
    return f'// {name}.js\nmodules["{name}"] = (() => {{\n{source}return {{{", ".join(exports)}}};\n}})();\n'


def userscript(match: str, version: str, config: BridgeConfig = BridgeConfig()) -> str:
    """Return the script for a userscript manager.

    Args:
        match: pages to run on, such as ``https://label-studio.example.org/*``.
        version: version to write into the header.
        config: as in :func:`bridge_script`.
    """
    return USERSCRIPT_HEADER.format(match=match, version=version) + bridge_script(config)
