"""The table of keys in the README is the bridge's own list of keys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clickpose_labelstudio.launch.bridge_script import SOURCES

README = Path(__file__).resolve().parents[2] / "ml_backend" / "README.md"


def bindings() -> list[dict]:
    """Return the list of keys as the page reads it."""
    source = (SOURCES / "keys" / "bindings.js").read_text(encoding="utf-8")
    script = f"{source.replace('export ', '')}\nconsole.log(JSON.stringify(bindings));"
    done = subprocess.run(["node", "-e", script], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_readme_names_every_key_and_what_it_does():
    rows = [f"| {'+'.join(binding['keys'])} | {binding['group']} | {binding['does']} |" for binding in bindings()]
    assert len(rows) > 10
    table = "\n".join(["| key | what for | does |", "| --- | --- | --- |", *rows])
    section = README.read_text(encoding="utf-8").partition("### Keys\n")[2].partition("\n### ")[0]
    found = "\n".join(re.findall(r"^\|.*$", section, re.M))
    assert found == table, f"Write into ml_backend/README.md, below Keys:\n{table}"
