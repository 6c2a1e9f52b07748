"""Photos a second of ``clickpose predict --run`` with one and two processes, and what ten million photos take.

    python benchmarks/large_sets.py [--photos folder] [--count 96] [--rounds 3] [--ray]

Each process has one thread. They have loaded the network before the clock starts, and share a new run by its folder;
one and two processes take turns. ``--ray`` measures as many workers of Ray Data as well, from the call to the last row,
loading included (pip install "clickpose[ray]"). On a machine that is busy with other work, what a photo costs of a core
("core ms") says more than the clock; ten million photos are reckoned from it, and the arithmetic is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from annotators import CHECKOUT, LONGER_SIDE, write_photo

WORKERS = (1, 2)
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(str(CHECKOUT / folder) for folder in ("models", "ml_backend", "plugins")),
    "OMP_NUM_THREADS": "1",
}
MANY = 10_000_000


def work_when_told() -> None:
    """Be a worker: load, then work on each run whose folder is read from stdin."""
    import clickpose
    from clickpose.large_sets import work
    from clickpose.large_sets.rows import rows_of
    from clickpose.large_sets.run_folder import RunFolder

    predictor = clickpose.load("lite", threads=1)
    work.OTHERS_S = 0.05
    print("ready", flush=True)
    for line in sys.stdin:
        worker = work.Worker(
            RunFolder(Path(line.strip())), lambda photos: rows_of(predictor, photos), work.Share(), lambda said: None
        )
        started = time.process_time()
        worker.work()
        print(json.dumps({"core_s": time.process_time() - started}), flush=True)


def run_once(processes: list[subprocess.Popen], folder: Path, photos: list[Path]) -> tuple[float, float]:
    """Let processes share a new run; return the seconds and those of cores."""
    from clickpose.large_sets.manifests import Listed
    from clickpose.large_sets.run_folder import Asked, RunFolder

    asked = Asked("benchmark", 0.0, 1, 1, "coco")
    RunFolder.start(folder, asked, [], (Listed(str(path), str(path)) for path in photos))
    started = time.perf_counter()
    for process in processes:
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
    core_s = sum(json.loads(process.stdout.readline())["core_s"] for process in processes)
    return time.perf_counter() - started, core_s


def measure_runs(photos: list[Path], folder: Path, rounds: int) -> float:
    """Print the photos a second of each number of workers; return what a photo costs one of them, ms of a core."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": os.environ | ENVIRONMENT}
    processes = [subprocess.Popen([sys.executable, __file__, "--work"], **pipes) for _ in range(max(WORKERS))]
    rates: dict[int, list[tuple[float, float]]] = {count: [] for count in WORKERS}
    try:
        for process in processes:
            process.stdout.readline()
        run_once(processes, folder / "first", photos)  # what is made at first use is made
        for number in range(rounds):
            for count in WORKERS if number % 2 == 0 else WORKERS[::-1]:
                seconds, core_s = run_once(processes[:count], folder / f"{number}-{count}", photos)
                rates[count].append((len(photos) / seconds, 1000 * core_s / len(photos)))
    finally:
        for process in processes:
            process.communicate("")
    print("\nclickpose predict --run")
    for count, turns in rates.items():
        rate, core_ms = np.median(turns, axis=0)
        said = f"{count} process{'es' if count > 1 else '  '}"
        print(f"  {said}  {rate:6.2f} photos a second  {core_ms:6.0f} core ms a photo")
    one, two = (np.array([rate for rate, _ in turns]) for turns in rates.values())
    times = two / one
    print(f"  two do {np.median(times):.2f} times as many as one (turns: {min(times):.2f} to {max(times):.2f})")
    return float(np.median([core_ms for _, core_ms in rates[1]]))


def measure_ray(photos: list[Path], rounds: int) -> None:
    """Print the photos a second of Ray Data with each number of workers."""
    import ray

    from clickpose.ray import predict_photos

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": ENVIRONMENT})
    seconds: dict[int, list[float]] = {count: [] for count in WORKERS}
    for number in range(rounds):
        for count in WORKERS if number % 2 == 0 else WORKERS[::-1]:
            started = time.perf_counter()
            rows = predict_photos([str(path) for path in photos], workers=count).take_all()
            seconds[count].append(time.perf_counter() - started)
            if len({row["photo"] for row in rows}) != len(photos) or any(row["error"] for row in rows):
                raise SystemExit("Expected each photo once and no error")
    ray.shutdown()
    print("\nRay Data, loading included")
    for count, each in seconds.items():
        print(f"  {count} worker{'s' if count > 1 else ' '}  {len(photos) / np.median(each):6.2f} photos a second")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of photos (default: the demo's, cut and resized)")
    parser.add_argument("--count", type=int, default=96, help="of the photos, the first so many")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each number of workers")
    parser.add_argument("--ray", action="store_true", help="measure Ray Data too")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work_when_told()
        return
    with tempfile.TemporaryDirectory(prefix="clickpose-large-sets-") as name:
        folder = Path(name)
        if options.photos:
            photos = sorted(options.photos.iterdir())[: options.count]
        else:
            photos = [folder / f"{number}.jpg" for number in range(options.count)]
            for number, photo in enumerate(photos):
                write_photo(photo, number, LONGER_SIDE)
        core_ms = measure_runs(photos, folder, options.rounds)
        if options.ray:
            measure_ray(photos, options.rounds)
    print(f"\n{MANY:,} photos x {core_ms:.0f} ms / 3,600,000 ms = {MANY * core_ms / 3.6e6:,.0f} hours of a core")


if __name__ == "__main__":
    main()
