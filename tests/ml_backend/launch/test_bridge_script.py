import json
import shutil
import subprocess

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.launch.bridge_script import BRIDGE_FILE, bridge_script, userscript


def test_configuration_comes_before_the_script_and_names_every_bone():
    first, rest = bridge_script().split("\n", 1)
    config = json.loads(first.removeprefix("window.__clickposeConfig = ").removesuffix(";"))
    assert config["joints"] == list(COCO.names)
    assert len(config["bones"]) == len(COCO.edges) and ["left_wrist", "left_elbow"] not in config["bones"]
    assert ["left_elbow", "left_wrist"] in config["bones"]
    assert config["testedVersions"] == ["1.23.2"] and config["timeoutMs"] == 10000
    assert rest == BRIDGE_FILE.read_text(encoding="utf-8")


def test_userscript_has_its_header_first():
    script = userscript("https://label-studio.example.org/*", "1.2.3")
    header = script.split("// ==/UserScript==")[0]
    assert header.startswith("// ==UserScript==\n")
    assert "@match        https://label-studio.example.org/*\n" in header and "@version      1.2.3\n" in header
    assert script.endswith(bridge_script())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_script_is_valid_javascript(tmp_path):
    path = tmp_path / "bridge.js"
    path.write_text(bridge_script(), encoding="utf-8")
    subprocess.run(["node", "--check", path], check=True)
