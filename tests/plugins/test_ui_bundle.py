"""The plugin's JavaScript as the app loads it."""

import re
import shutil
import subprocess
from pathlib import Path

import fiftyone as fo
import pytest
import yaml

from clickpose_fiftyone.install import plugin_folder
from clickpose_fiftyone.ui_bundle import bundle_path, make_bundle


def test_the_bundle_is_what_its_sources_make():
    assert bundle_path().read_text(encoding="utf-8") == make_bundle(), "run python -m clickpose_fiftyone.ui_bundle"


def test_the_app_is_told_of_the_bundle():
    manifest = yaml.safe_load((plugin_folder() / "fiftyone.yml").read_text(encoding="utf-8"))
    assert plugin_folder() / manifest["js_bundle"] == bundle_path()


def test_every_source_is_in_it():
    sources = plugin_folder() / "ui"
    bundled = set(re.findall(r"^// ([\w/.]+)\.js$", make_bundle(), re.M))
    assert {path.relative_to(sources).with_suffix("").as_posix() for path in sources.rglob("*.js")} <= bundled


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_it_is_one_classic_script():
    """The app does not load it as a module, and what a script declares at its top is everybody's."""
    subprocess.run(["node", "--check", bundle_path()], check=True)
    assert re.fullmatch(r"//.*\n\(\(\) => \{\n.*\n?\}\)\(\);\n", make_bundle(), re.S)


def test_the_app_keeps_what_is_hidden_in_tooltips_where_they_are_kept_short():
    assets = Path(fo.__file__).parent / "server" / "static" / "assets"
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in assets.glob("*.js"))
    assert any("fo-hiddenLabels-${" in text and "fo-hide-label-change" in text for text in texts)
