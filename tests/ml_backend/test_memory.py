"""What bounds the service's memory: pixels that are decoded, edits in the network, what glibc keeps."""

from __future__ import annotations

import base64
import gc
import io
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose.predictor import EncodedRegion
from clickpose_labelstudio import memory
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.memory import MemoryReturn
from clickpose_labelstudio.pixel_budget import PixelBudget
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.turns import FEWEST, TakingTurns, cores
from helpers import fakes

GLIBC = platform.libc_ver()[0] == "glibc"


def take(budget: PixelBudget, pixels: int) -> np.ndarray:
    with budget.decoding(pixels) as kept:
        kept.append(np.zeros((pixels, 3), np.uint8))
        return kept[0]


def test_pixels_count_as_long_as_somebody_has_them():
    budget = PixelBudget(100)
    first, second = take(budget, 60), take(budget, 40)
    assert budget.alive == 100
    view = first[:1]
    del first
    gc.collect()
    assert budget.alive == 100  # the view holds them
    del view, second
    gc.collect()
    assert budget.alive == 0


def test_who_comes_first_is_served_first_and_a_huge_photo_alone():
    budget, order = PixelBudget(100), []
    first = take(budget, 60)

    def wait_for(pixels):
        taken = take(budget, pixels)
        order.append((pixels, budget.alive))
        del taken

    threads = [threading.Thread(target=wait_for, args=(pixels,)) for pixels in (300, 10)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    assert order == []  # the small one does not pass the huge one
    del first
    gc.collect()
    for thread in threads:
        thread.join(10)
    assert order == [(300, 300), (10, 10)]


def test_a_photo_that_cannot_be_decoded_takes_no_room_and_waiting_ends():
    budget = PixelBudget(100, longest_wait_s=0.05)
    with pytest.raises(ValueError, match="broken"), budget.decoding(90):
        raise ValueError("broken")
    assert budget.alive == 0
    kept = take(budget, 90)
    other = take(budget, 80)  # more than there is room for, after a while
    assert budget.alive == 170
    del kept, other
    gc.collect()
    assert budget.alive == 0


def test_photos_of_the_service_are_counted(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(fakes.blank_image(240, 320)).save(buffer, "PNG")
    images = TaskImages(ServiceSettings(cache_dir=tmp_path))
    loaded = images.load("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode())
    assert images._budget.alive == 240 * 320
    del loaded
    gc.collect()
    assert images._budget.alive == 0


class Crowded(fakes.FakePredictor):
    """Counts how many are in the network at once."""

    def __init__(self):
        super().__init__()
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def encode(self, image, boxes_xyxy):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.02)
        with self.lock:
            self.inside -= 1
        return super().encode(image, boxes_xyxy)


def test_no_more_edits_than_cores_encode_at_once():
    predictor = Crowded()
    images = fakes.FakeImages({"/data/upload/1/a.png": fakes.blank_image()})
    service = AnnotationService(lambda: predictor, images, fakes.MemoryRegions())
    task = {"id": 1, "data": {"image": "/data/upload/1/a.png"}}
    (entry,) = service.predict([task], build_labeling_config())
    answers = []

    def draw(width: float) -> None:
        box = next(item for item in entry["result"] if item["type"] == "rectanglelabels")
        box = {**box, "id": "drawn", "value": {**box["value"], "width": width}}
        context = {"result": [box], "edited": ["drawn"]}
        answers.extend(service.predict([task], build_labeling_config(), context))

    threads = [threading.Thread(target=draw, args=(10.0 + width,)) for width in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 12 and all(answer["result"] for answer in answers)
    assert 1 <= predictor.most <= max(FEWEST, cores())
    assert predictor.encoded >= 12


def test_a_network_in_turns_is_the_network_itself():
    inner = fakes.FakePredictor()
    turns = TakingTurns(inner, threading.Semaphore(1))
    assert (turns.name, turns.fingerprint, turns.skeleton) == (inner.name, inner.fingerprint, inner.skeleton)
    image = fakes.blank_image()
    boxes, _ = turns.detect(image)
    regions = turns.encode(image, boxes)
    assert inner.encoded == len(boxes) == len(regions)
    assert np.array_equal(turns.decode(regions).keypoints, inner.decode(regions).keypoints)
    assert turns.covers(regions[0], inner.decode(regions)[0])


def test_an_edit_loads_the_features_of_one_region_only():
    class Counting(fakes.MemoryRegions):
        loaded = 0

        def load(self, *arguments) -> EncodedRegion | None:
            self.loaded += 1
            return super().load(*arguments)

    regions = Counting()
    images = fakes.FakeImages({"a": fakes.blank_image()})
    service = AnnotationService(fakes.FakePredictor, images, regions)
    task = {"id": 1, "data": {"image": "a"}}
    (entry,) = service.predict([task], build_labeling_config())
    regions.loaded = 0
    service.predict([task], build_labeling_config(), {"result": entry["result"], "edited": [entry["result"][0]["id"]]})
    assert regions.loaded == 1


def test_a_region_that_is_lost_meanwhile_is_encoded_anew():
    class Losing(fakes.MemoryRegions):
        def load(self, *arguments):
            return None

    predictor = fakes.FakePredictor()
    service = AnnotationService(lambda: predictor, fakes.FakeImages({"a": fakes.blank_image()}), Losing())
    task = {"id": 1, "data": {"image": "a"}}
    (entry,) = service.predict([task], build_labeling_config())
    before = predictor.encoded
    context = {"result": entry["result"], "edited": [entry["result"][0]["id"]]}
    assert service.predict([task], build_labeling_config(), context)[0]["result"]
    assert predictor.encoded == before + 1


def test_memory_is_given_back_once_after_much_work(monkeypatch):
    times = []
    monkeypatch.setattr(memory, "give_back", lambda: times.append(time.monotonic()))
    back = MemoryReturn(every_s=0.05)
    for _ in range(20):
        back.after_work()
    time.sleep(0.3)
    assert len(times) == 1
    back.after_work()
    time.sleep(0.3)
    assert len(times) == 2


@pytest.mark.skipif(not GLIBC, reason="only glibc has arenas")
@pytest.mark.parametrize(("variables", "bounded"), [({}, True), ({"MALLOC_ARENA_MAX": "64"}, False)])
def test_threads_share_arenas_and_what_is_free_goes_back(variables, bounded):
    """Sixteen threads leave holes in their arenas; with two arenas and a trim they are gone."""
    code = Path(__file__).with_name("fixtures") / "arenas.py"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | variables
    done = subprocess.run([sys.executable, str(code)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    arenas, before, after = (float(number) for number in done.stdout.split())
    assert (arenas <= memory.ARENAS) == bounded
    assert after < before / 2
