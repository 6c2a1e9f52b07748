"""Runs the bridge's modules in node, without a page, on regions that look as Label Studio's do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from clickpose_labelstudio.launch.bridge_script import SOURCES

PAGE = """\
globalThis.window = globalThis;
export const clone = (value) => JSON.parse(JSON.stringify(value));

// an annotation of Label Studio with the regions of a result
export function annotationOf(items) {
  const image = {naturalWidth: 640, naturalHeight: 480};
  const drawn = items.filter((item) => item.value && item.type !== "choices");
  const regions = drawn.map((item) => regionOf(item, image, items));
  const relations = items.filter((item) => item.type === "relation");
  return {
    regions,
    draftId: 0,
    relationStore: {size: relations.length},
    serializeAnnotation: () => clone([...regions.flatMap((region) => region.own), ...relations]),
  };
}

function regionOf(item, image, items) {
  const {x, y, width, height = width} = item.value;
  const isPoint = item.type === "keypointlabels";
  const own = items.filter((other) => other.id === item.id);
  const edges = isPoint ? [x - width, y - width, x + width, y + width] : [x, y, x + width, y + height];
  const [left, top, right, bottom] = edges;
  return {
    own, object: image, x, y, cleanId: item.id, origin: item.origin, bboxCoords: {left, top, right, bottom},
    type: isPoint ? "keypointregion" : "rectangleregion",
    parentID: item.parentID ? `${item.parentID}#1` : "",
    isReadOnly: () => item.readonly === true,
    results: own.map((result) => ({type: result.type, serialize: () => clone(result)})),
  };
}
"""


def run_in_node(folder: Path, script: str, given: object) -> object:
    """Run a script that imports the bridge's modules and ``PAGE``; return what it says.

    Args:
        folder: empty one to work in.
        script: body of a module in which ``given`` is known, and which calls ``say(value)`` once.
        given: something that JSON can hold.
    """
    shutil.copytree(SOURCES, folder / "bridge", dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "page.js").write_text(PAGE, encoding="utf-8")
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    head = (
        'import * as page from "./page.js";\nimport {readFileSync, writeFileSync} from "node:fs";\n'
        'const given = JSON.parse(readFileSync("given.json", "utf8"));\n'
        'const say = (value) => writeFileSync("said.json", JSON.stringify(value));\n'
    )
    (folder / "script.js").write_text(head + script, encoding="utf-8")
    done = subprocess.run(["node", "script.js"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "said.json").read_text(encoding="utf-8"))
