"""The bridge's modules as one script, and as a userscript."""

import gzip
import json
import re
import shutil
import subprocess

import pytest

from clickpose.skeleton import COCO
from clickpose_labelstudio.launch import bridge_script as bundler
from clickpose_labelstudio.launch.bridge_script import ENTRY, SOURCES, bridge_script, userscript
from clickpose_labelstudio.launch.es_modules import EXPORT, bundle

# exports of label_studio/ that build upon no part of Label Studio's page
READS_NOTHING = {
    "regions.cleanId", "layout.isFree", "layout.DARK", "region_actions.connect", "region_actions.quietly",
}  # fmt: skip


def test_configuration_comes_before_the_script_and_names_every_bone():
    first, _ = bridge_script().split("\n", 1)
    config = json.loads(first.removeprefix("window.__clickposeConfig = ").removesuffix(";"))
    assert config["joints"] == list(COCO.names)
    assert len(config["bones"]) == len(COCO.edges) and ["left_wrist", "left_elbow"] not in config["bones"]
    assert ["left_elbow", "left_wrist"] in config["bones"]
    assert config["triedVersions"] == list(bundler.TRIED_LABEL_STUDIO) and config["timeoutMs"] == 10000


def test_every_module_is_in_the_script_once_and_after_those_that_it_imports():
    modules = re.findall(r"^// ([\w/]+)\.js\n(.*?)^\}\)\(\);$", bundle(SOURCES, ENTRY), re.M | re.S)
    names = [name for name, _ in modules]
    assert sorted(names) == sorted(
        path.relative_to(SOURCES).with_suffix("").as_posix() for path in SOURCES.rglob("*.js")
    )
    assert names[-1] == "main"
    for place, (_, text) in enumerate(modules):
        assert set(re.findall(r' = modules\["([\w/]+)"\];', text)) <= set(names[:place])


def test_readme_says_what_came_of_each_version_that_was_tried():
    readme = (SOURCES.parents[2] / "README.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| (\d+\.\d+\.\d+) \|", readme, re.M))[::-1] == bundler.TRIED_LABEL_STUDIO


def test_script_is_small_enough_for_every_page():
    script = bridge_script().encode()
    travels = len(gzip.compress(script))
    print(f"{len(script) / 1000:.0f} kB, of which {travels / 1000:.0f} kB travel, once")
    assert travels < 60_000 and len(script) < 210_000
    assert not re.search(rb"^//|/\*", script, re.M)


def test_all_that_reads_label_studio_is_named_by_a_probe():
    """What a new version lacks then switches off what needs it, in place of failing under the annotator's hands."""
    exports = {
        f"{path.stem}.{match['name']}"
        for path in (SOURCES / "label_studio").glob("*.js")
        for match in EXPORT.finditer(path.read_text(encoding="utf-8"))
        if path.stem != "probes"
    }
    probes = (SOURCES / "label_studio" / "probes.js").read_text(encoding="utf-8")
    named = [
        name for names in re.findall(r"\n    of: \[(.*?)\]", probes, re.S) for name in re.findall(r'"(.*?)"', names)
    ]
    assert len(named) == len(set(named)) > 25
    assert set(named) == exports - READS_NOTHING


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(bundler, "SOURCES", tmp_path)

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.js").write_text(text)

    return write


def test_imports_of_a_module_become_constants(sources):
    sources(
        main='import * as a from "./first.js";\nimport {b} from "./first.js";\n\nb(a);\n',
        first="/** What\n * it is. */\nexport function b() {}\n  // said\nexport const c = 1;\n",
    )
    assert bundle(bundler.SOURCES, ENTRY).split("const modules = {};\n\n")[1] == (
        '// first.js\nmodules["first"] = (() => {\nfunction b() {}\nconst c = 1;\nreturn {b, c};\n})();\n\n'
        '// main.js\nmodules["main"] = (() => {\nconst a = modules["first"];\nconst {b} = modules["first"];\n\nb(a);\n'
        "return {};\n})();\n})();\n"
    )


def test_modules_that_would_break_the_script_are_refused(sources):
    sources(main='import * as a from "./first.js";\n', first='import * as m from "./main.js";\n')
    with pytest.raises(ValueError, match="circle of imports, got main -> first -> main"):
        bridge_script()
    sources(main="export default 1;\n")
    with pytest.raises(
        ValueError, match=r"main\.js to import and export as the other modules do, got: export default 1"
    ):
        bridge_script()


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
