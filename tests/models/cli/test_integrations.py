"""The commands of Label Studio and FiftyOne where what they need is not installed: one sentence, no traceback."""

import json
import subprocess
import sys

import pytest

COMMANDS = {
    "serve": "labelstudio",
    "labelstudio start": "labelstudio",
    "labelstudio export --project 1": "labelstudio",
    "labelstudio import {there} --project 1": "labelstudio",
    "labelstudio train --project 1": "labelstudio",
    "fiftyone review": "fiftyone",
    "fiftyone install": "fiftyone",
}
WITHOUT_EXTRAS = """
import json, sys
for package in ("waitress", "flask", "requests", "defusedxml", "diskcache", "prometheus_client", "fiftyone"):
    sys.modules[package] = None  # as if it were not installed
from typer.testing import CliRunner
from clickpose.cli import app
results = [CliRunner().invoke(app, command.split()) for command in sys.argv[1:]]
print(json.dumps([[result.exit_code, result.output] for result in results]))
"""


@pytest.mark.slow
def test_a_missing_extra_is_one_sentence(tmp_path):
    there = tmp_path / "coco.json"
    there.write_text("{}")
    commands = [command.format(there=there) for command in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *commands],
        capture_output=True, text=True, timeout=300, cwd=tmp_path, env={"PATH": str(tmp_path)},  # no mongod either
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for (command, extra), (exit_code, output) in zip(COMMANDS.items(), json.loads(done.stdout), strict=True):
        assert exit_code == 2, (command, output)
        assert f'pip install "clickpose[{extra}]"' in output and len(output.splitlines()) == 1, command
    assert list(tmp_path.iterdir()) == [there]
