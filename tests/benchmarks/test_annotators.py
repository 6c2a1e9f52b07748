"""The benchmark of thirty annotators: what it takes for a crossed answer, and that it works at all."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import annotators
import pytest

from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.service import AnnotationService
from helpers import fakes

TASK = {"id": 1, "data": {"image": "a"}}


@pytest.fixture
def edit():
    """An annotation, the region that was dragged, and the service's answer."""
    service = AnnotationService(
        fakes.FakePredictor, fakes.FakeImages({"a": fakes.blank_image()}), fakes.MemoryRegions()
    )
    (entry,) = service.predict([TASK], build_labeling_config())
    result = entry["result"]
    moved = next(item for item in result if item["id"].endswith("left_wrist"))
    moved["value"]["x"] += 1
    (answer,) = service.predict([TASK], build_labeling_config(), {"result": result, "edited": [moved["id"]]})
    return result, moved, answer["result"]


def test_an_answer_to_the_edit_is_not_crossed(edit):
    assert annotators.crossed(*edit) is None


def test_answers_of_others_are_crossed(edit):
    before, moved, answer = edit
    other = next(item for item in before if item["type"] == "rectanglelabels" and item["id"] != moved["parentID"])
    assert "1 regions of others" in annotators.crossed(before, moved, [*answer, other])
    assert "1 missing" in annotators.crossed(before, moved, answer[1:])
    shifted = copy.deepcopy(answer)
    next(item for item in shifted if item["id"] == moved["id"])["value"]["x"] += 0.5
    assert "has moved" in annotators.crossed(before, moved, shifted)
    assert not annotators.same_places(answer, shifted)
    assert annotators.same_places(answer, copy.deepcopy(answer))
    assert not annotators.same_places(answer, answer[1:])


@pytest.mark.slow
def test_the_benchmark_prints_its_table(tmp_path):
    script = Path(annotators.__file__)
    options = ["--threads", "1", "--annotators", "2", "--seconds", "4", "--turns", "1", "--pause", "0.2"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, timeout=240, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| this checkout"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert int(cells[1]) > 0 and cells[6] == "0" and cells[7].startswith("0 of ")
