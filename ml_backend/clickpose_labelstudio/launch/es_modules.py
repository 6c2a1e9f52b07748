"""Plain ES modules in one script, for pages that take one script in one request and know no modules.

The sources keep to one form of import and export each (see the patterns), so that this needs no other tool.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

IMPORT = re.compile(r'^import (?:\* as (?P<module>\w+)|(?P<names>\{[\w, ]+\})) from "(?P<file>\.[\w./]+)\.js";$', re.M)
COMMENT = re.compile(r"^[ \t]*(/\*\*.*?\*/|//[^\n]*)[ \t]*\n", re.M | re.S)  # one that has its lines for itself
EXPORT = re.compile(r"^export (?:(?:async )?function|const|class) (?P<name>\w+)", re.M)


def bundle(sources: Path, entry: str) -> str:
    """Return a module and all that it imports as one script, in a scope of its own.

    Args:
        sources: folder of the modules.
        entry: name of the module that is run last: its path below the folder, without its ending.

    Raises:
        ValueError: if modules import each other in a circle, or a module has an import or export of another form.
    """
    modules = "\n".join(_wrap(sources, name) for name in _in_order(sources, entry))
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n\n{modules}}})();\n'


def _source(sources: Path, name: str) -> str:
    return (sources / f"{name}.js").read_text(encoding="utf-8")


def _in_order(sources: Path, name: str, above: tuple[str, ...] = ()) -> list[str]:
    """Return a module and all that it imports, each after those that it imports itself.

    Raises:
        ValueError: if modules import each other in a circle.
    """
    if name in above:
        raise ValueError(f"Expected no circle of imports, got {' -> '.join([*above, name])}")
    imported = [_module(name, match["file"]) for match in IMPORT.finditer(_source(sources, name))]
    before = [module for other in imported for module in _in_order(sources, other, (*above, name))]
    return list(dict.fromkeys([*before, name]))


def _module(importer: str, path: str) -> str:
    """Return the name of a module, its path below the sources, from the path by which another one imports it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), path))


def _wrap(sources: Path, name: str) -> str:
    """Return a module as a function that is called at once and returns what the module exports.

    Comments, a third of the sources, are for those who read these.

    Raises:
        ValueError: if a module has an import or export of another form.
    """

    def taken(path: str) -> str:
        return f'modules["{_module(name, path)}"]'

    source = COMMENT.sub("", _source(sources, name)).lstrip("\n")
    exports = [match["name"] for match in EXPORT.finditer(source)]
    source = IMPORT.sub(lambda match: f"const {match['names'] or match['module']} = {taken(match['file'])};", source)
    source = EXPORT.sub(lambda match: match[0].removeprefix("export "), source)
    other = re.search(r"^(import|export)\b.*", source, re.M)
    if other:
        raise ValueError(f"Expected {name}.js to import and export as the other modules do, got: {other[0]}")
    return f'// {name}.js\nmodules["{name}"] = (() => {{\n{source}return {{{", ".join(exports)}}};\n}})();\n'
