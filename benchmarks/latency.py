"""How long does an edit take? Request in to response out, through the real web server, beside encoding the crop anew.

    python benchmarks/latency.py [--photo photo.jpg] [--edits 200] [--threads 1] [--out latency.json]

Each edit moves one keypoint of one person a little, as the bridge posts it: the whole annotation and the region's id.
The three ways take turns, so that a noisy machine is noisy for all of them:

- memory: the worker has the region in memory (the usual click);
- disk: it is in the disk cache only (the first click after a restart, or another worker's region);
- re-encode: the crop is encoded at every click, as stateless backends do. The photo itself stays decoded in memory, so
  this baseline pays for nothing but the network.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
import requests

import clickpose
import clickpose_labelstudio
from clickpose.predictor import PosePredictor
from clickpose_labelstudio.app import create_app
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.labeling_config import build_labeling_config
from clickpose_labelstudio.region_store import DiskRegionStore
from clickpose_labelstudio.serve import listening_on, make_server
from clickpose_labelstudio.service import AnnotationService
from clickpose_labelstudio.settings import ServiceSettings

DEMO_PHOTO = Path(clickpose_labelstudio.__file__).parent / "demo" / "group-1.jpg"
WARM_UP_EDITS = 5
PARTS = ("cache lookup", "encode crop", "decode")  # measured inside; "parse" and "JSON" come from Server-Timing


class Stopwatch:
    """Adds up the time spent in named parts since it was last read."""

    def __init__(self):
        self._spent = defaultdict(float)

    def timed(self, part: str, function):
        """Return ``function`` with its time added to ``part``."""

        def call(*arguments, **keywords):
            started = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self._spent[part] += 1000 * (time.perf_counter() - started)

        return call

    def read(self) -> dict[str, float]:
        """Return milliseconds by part, and start anew."""
        spent = {part: self._spent[part] for part in PARTS}
        self._spent.clear()
        return spent


class ForgetfulStore:
    """A region store that remembers images but no regions."""

    def __init__(self, store: DiskRegionStore):
        self.content_hash, self.remember, self.image_hw = store.content_hash, store.remember, store.image_hw

    def outlines(self, content_hash: str, fingerprint: str) -> list:
        """Return no regions."""
        return []

    def load(self, content_hash: str, fingerprint: str, outline) -> None:
        """Return no region."""

    def add(self, content_hash: str, fingerprint: str, region) -> None:
        """Keep nothing."""


class KeptImages:
    """Images that are loaded and decoded once."""

    def __init__(self, images: TaskImages):
        self._images = images
        self._loaded = {}

    def load(self, reference: str):
        """Return a decoded image."""
        if reference not in self._loaded:
            self._loaded[reference] = self._images.load(reference)
        return self._loaded[reference]


class Server:
    """The service on a free port, with a stopwatch inside."""

    def __init__(self, settings: ServiceSettings, predictor: PosePredictor, store, images):
        self.stopwatch = Stopwatch()
        timed = copy.copy(predictor)
        timed.encode = self.stopwatch.timed("encode crop", predictor.encode)
        timed.refine_region = self.stopwatch.timed("decode", predictor.refine_region)
        store = copy.copy(store)
        for name in ("content_hash", "image_hw", "outlines", "load"):
            setattr(store, name, self.stopwatch.timed("cache lookup", getattr(store, name)))
        app = create_app(settings, AnnotationService(lambda: timed, images, store))
        server = make_server(app, settings, "127.0.0.1", 0, threads=4)
        threading.Thread(target=server.run, daemon=True).start()
        self._url = listening_on(server)[0]
        self._session = requests.Session()
        self._session.trust_env = False

    def post(self, body: dict) -> tuple[dict, dict[str, float]]:
        """Post to /predict; return the first result and the milliseconds by part, with the ``total``."""
        self.stopwatch.read()
        data = json.dumps(body).encode()
        started = time.perf_counter()
        response = self._session.post(f"{self._url}/predict", data=data)
        total = 1000 * (time.perf_counter() - started)
        response.raise_for_status()
        timing = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
        inside = self.stopwatch.read()
        parts = {"parse": float(timing["parse"]), **inside, "JSON": float(timing["encode"])}
        codec = float(timing["predict"]) - sum(inside.values())
        rest = total - sum(float(duration) for duration in timing.values())
        return response.json()["results"][0], {"total": total, **parts, "codec": codec, "HTTP": rest}


def start_servers(settings: ServiceSettings, predictor: PosePredictor) -> dict[str, Server]:
    """Start the three servers on one disk cache; they end with this process."""
    images = KeptImages(TaskImages(settings))
    on_disk = DiskRegionStore(replace(settings, memory_cache_max_bytes=1))
    stores = {"memory": DiskRegionStore(settings), "disk": on_disk, "re-encode": ForgetfulStore(on_disk)}
    return {name: Server(settings, predictor, store, images) for name, store in stores.items()}


def edited(result: list[dict], rng: np.random.Generator) -> dict:
    """Return the context of an edit: one keypoint, chosen at random, moved by about 1 % of the image."""
    result = copy.deepcopy(result)
    keypoints = [item for item in result if item["type"] == "keypointlabels"]
    moved = keypoints[rng.integers(len(keypoints))]
    for axis in ("x", "y"):
        moved["value"][axis] = float(np.clip(moved["value"][axis] + rng.normal(0, 1), 0, 100))
    return {"result": result, "edited": [moved["id"]]}


def measure(settings: ServiceSettings, predictor: PosePredictor, photo: Path, edits: int) -> dict[str, dict]:
    """Return way -> part -> (edits,) milliseconds."""
    task = {"id": 1, "data": {"image": f"/data/local-files/?d={quote(photo.name)}"}}
    body = {"tasks": [task], "label_config": build_labeling_config(), "params": {"context": None}}
    rng = np.random.default_rng(0)
    measured = defaultdict(lambda: defaultdict(list))
    servers = start_servers(settings, predictor)
    result = servers["memory"].post(body)[0]["result"]
    if not result:
        raise SystemExit(f"Expected a photo with people, found nobody in {photo}")
    for number in range(edits + WARM_UP_EDITS):
        edit = {**body, "params": {"context": edited(result, rng)}}
        for name, server in servers.items():
            _, parts = server.post(edit)
            if number >= WARM_UP_EDITS:
                for part, milliseconds in parts.items():
                    measured[name][part].append(milliseconds)
    return {name: {part: np.array(times) for part, times in parts.items()} for name, parts in measured.items()}


def report(measured: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Print the table in Markdown; return its figures."""
    parts = list(measured["memory"])
    print("\n| milliseconds | min | p50 | p95 | " + " | ".join(f"{part} p50" for part in parts[1:]) + " |")
    print("|---" * (len(parts) + 3) + "|")
    figures = {}
    for name, times in measured.items():
        low, middle, high = np.percentile(times["total"], [0, 50, 95])
        row = {"min": low, "p50": middle, "p95": high}
        row |= {part: np.median(times[part]) for part in parts[1:]}
        figures[name] = {key: round(float(value), 3) for key, value in row.items()}
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    for name in ("memory", "disk"):
        ratio = np.median(measured["re-encode"]["total"] / measured[name]["total"])
        figures[name]["times faster than re-encode"] = round(float(ratio), 3)
        print(f"\nAn edit ({name}) is {ratio:.1f} times as fast as encoding the crop anew (median of pairs).")
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=DEMO_PHOTO, help="photo with people (default: a demo photo)")
    parser.add_argument("--edits", type=int, default=200, help="edits to measure, each in all three ways")
    parser.add_argument("--threads", type=int, default=None, help="threads of the network (default: the libraries')")
    parser.add_argument("--out", type=Path, help="write the figures here too, as JSON")
    options = parser.parse_args()
    photo = options.photo.resolve(strict=True)
    load = partial(clickpose.load, "lite", threads=options.threads)
    with tempfile.TemporaryDirectory(prefix="clickpose-latency-", ignore_cleanup_errors=True) as cache:
        settings = ServiceSettings(cache_dir=Path(cache), local_roots=(photo.parent,))
        figures = report(measure(settings, load(), photo, options.edits))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
