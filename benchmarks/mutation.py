"""What do the tests notice? Small changes of the code, one at a time, made by Cosmic Ray; how many make a test fail.

    python3 -m venv .venv-mutation && .venv-mutation/bin/pip install cosmic-ray
    .venv/bin/python benchmarks/mutation.py --cosmic-ray .venv-mutation/bin/cosmic-ray [--group lite] [--sample 40]

Of all changes to a group of files so many are drawn by ``--seed``, without those that no test can notice by design: in
type annotations, of decorators, and of the ``strict=True`` of a zip. Each is tried in a copy of the files, with the
tests that belong to its file and without the shared data. Survivors are printed with their change: either it does not
matter (an equivalent form), or a test is missing. Some seconds a change.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LITE, METRICS, LABEL_STUDIO = "models/clickpose/lite", "models/clickpose/metrics", "ml_backend/clickpose_labelstudio"
TESTS = "tests/models"

# Group -> file -> its tests, the quick ones first: the first failure ends a try.
GROUPS = {
    "predictor": {
        "models/clickpose/predictor.py": (f"{TESTS}/test_predictor.py", f"{TESTS}/lite/test_predictor.py"),
    },
    "lite": {
        f"{LITE}/adaptation.py": (f"{TESTS}/lite/test_adaptation.py",),
        f"{LITE}/calibration.py": (f"{TESTS}/lite/test_calibration.py",),
        f"{LITE}/click_evaluation.py": (f"{TESTS}/lite/test_click_evaluation.py",),
        f"{LITE}/further.py": (f"{TESTS}/lite/test_further.py",),
        f"{LITE}/losses.py": (f"{TESTS}/lite/test_losses.py", f"{TESTS}/lite/test_train.py"),
        f"{LITE}/mirrored_views.py": (f"{TESTS}/lite/test_mirrored_views.py", f"{TESTS}/lite/test_shipped.py"),
        f"{LITE}/predictor.py": (f"{TESTS}/lite/test_predictor.py", f"{TESTS}/lite/test_shipped.py"),
        f"{LITE}/task.py": (f"{TESTS}/lite/test_task.py", f"{TESTS}/lite/test_train.py"),
        f"{LITE}/tokens.py": (f"{TESTS}/lite/test_calibration.py",),
        f"{LITE}/train.py": (f"{TESTS}/lite/test_train.py", f"{TESTS}/lite/test_further.py"),
        f"{LITE}/weights.py": (f"{TESTS}/lite/test_predictor.py", f"{TESTS}/lite/test_adaptation.py"),
    },
    "metrics": {
        f"{METRICS}/{name}.py": tuple(f"{TESTS}/metrics/test_{test}.py" for test in tests)
        for name, tests in {
            "average_precision": ("average_precision",),
            "bootstrap": ("bootstrap",),
            "calibration_figures": ("calibration_figures",),
            "clicks": ("clicks",),
            "coco_engine": ("average_precision",),
            "correlation": ("correlation",),
            "inputs": ("oks", "reliability", "sparsification_and_risk"),
            "keypoint_sets": ("average_precision", "bootstrap"),
            "oks": ("oks", "average_precision"),
            "pck": ("pck",),
            "ranked_precision": ("average_precision", "bootstrap"),
            "reliability": ("reliability",),
            "risk_coverage": ("sparsification_and_risk",),
            "sparsification": ("sparsification_and_risk",),
        }.items()
    },
    "label studio": {
        f"{LABEL_STUDIO}/codec.py": (
            "tests/ml_backend/test_refined_regions.py",
            "tests/ml_backend/test_codec.py",
            "tests/ml_backend/test_coco_exchange.py",
        ),
        f"{LABEL_STUDIO}/grouping.py": (
            "tests/ml_backend/test_refined_regions.py",
            "tests/ml_backend/test_grouping.py",
            "tests/ml_backend/test_codec.py",
        ),
    },
}


PATHS = ("models", "ml_backend", "plugins")


class Workplace:
    """A copy of the repository's files in which changes are tried.

    Args:
        folder: where to.
        source: repository to copy, with what is not committed.
        cosmic_ray: its command.
        python: that runs the tests.
        timeout: seconds for the tests of a change.
    """

    def __init__(self, folder: Path, source: Path, cosmic_ray: Path, python: Path, timeout: float):
        self.folder, self.cosmic_ray, self.python, self.timeout = folder, cosmic_ray, python, timeout
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listing, cwd=source, capture_output=True, text=True, check=True).stdout.splitlines():
            if (source / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, folder / name)

    def command(self, tests: Sequence[str]) -> str:
        """Return the command that runs those of the tests that are there."""
        path = ":".join(str(self.folder / root) for root in PATHS)
        settings = f"PYTHONPATH={path} CLICKPOSE_SHARED=/nonexistent OMP_NUM_THREADS=1"
        present = " ".join(test for test in tests if (self.folder / test).is_file())
        return f"env {settings} {self.python} -m pytest -x -q -p no:cacheprovider {present}"

    def session(self, file: str, tests: Sequence[str]) -> Path:
        """List all changes of a file in a session of Cosmic Ray, once its tests have passed without any."""
        command = self.command(tests)
        plain = subprocess.run(command.split(), cwd=self.folder, capture_output=True, text=True)
        if plain.returncode:
            raise RuntimeError(f"Expected the tests of {file} to pass unchanged: {plain.stdout[-2000:]}")
        session = self.folder / f"{file.replace('/', '-')}.sqlite"
        session.with_suffix(".toml").write_text(
            f'[cosmic-ray]\nmodule-path = "{file}"\ntimeout = {self.timeout}\nexcluded-modules = []\n'
            f'test-command = "{command}"\n\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        self.run("init", session)
        return session

    def run(self, command: str, session: Path) -> None:
        """Run a command of Cosmic Ray on a session."""
        arguments = [self.cosmic_ray, command, session.with_suffix(".toml").name, session.name]
        done = subprocess.run(arguments, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cosmic-ray {command} failed for {session.stem}: {done.stderr[-2000:]}")

    def try_changes(self, session: Path, jobs: Sequence[str]) -> list[tuple[bool, str]]:
        """Try the changes of these job numbers; returns for each whether it was caught, and its diff."""
        with sqlite3.connect(session) as connection:
            marks = ",".join("?" * len(jobs))
            for table in ("mutation_specs", "work_items"):
                connection.execute(f"DELETE FROM {table} WHERE job_id NOT IN ({marks})", jobs)
        self.run("exec", session)
        with sqlite3.connect(session) as connection:
            rows = connection.execute("SELECT test_outcome, worker_outcome, diff FROM work_results").fetchall()
        return [(outcome != "SURVIVED", diff) for outcome, worker, diff in rows if worker == "NORMAL"]


def executed_changes(source: str, session: Path) -> list[str]:
    """Return the job numbers of the changes that a test could notice, in the order of the file."""
    spans, lines = annotation_spans(source), source.splitlines()
    with sqlite3.connect(session) as connection:
        rows = connection.execute(
            "SELECT job_id, operator_name, start_pos_row, start_pos_col FROM mutation_specs "
            "ORDER BY start_pos_row, start_pos_col, operator_name, occurrence"
        ).fetchall()
    return [
        job
        for job, operator, *place in rows
        if not any(first <= tuple(place) < last for first, last in spans)
        and operator != "core/RemoveDecorator"
        and not (operator == "core/ReplaceTrueWithFalse" and "strict=True" in lines[place[0] - 1])
    ]


def annotation_spans(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the first and last positions (line, column) of the type annotations of a file."""
    nodes = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes.append(node.returns)
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            nodes.append(node.annotation)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if n is not None]


def try_group(name: str, place: Workplace, sample: int, seed: int) -> tuple[int, int]:
    """Try a sample of a group's changes, print the survivors, and return how many were caught, of how many."""
    files = {file: tests for file, tests in GROUPS[name].items() if (place.folder / file).is_file()}
    sessions = {file: place.session(file, tests) for file, tests in files.items()}
    changes = [(f, job) for f, s in sessions.items() for job in executed_changes((place.folder / f).read_text(), s)]
    drawn = random.Random(seed).sample(changes, min(sample, len(changes)))
    print(f"{name}: {len(drawn)} of {len(changes)} changes of {len(files)} files", flush=True)
    caught = tried = 0
    for file, session in sessions.items():
        jobs = [job for where, job in drawn if where == file]
        for noticed, diff in place.try_changes(session, jobs) if jobs else []:
            caught, tried = caught + noticed, tried + 1
            if not noticed:
                print(diff, flush=True)
    return caught, tried


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cosmic-ray", type=Path, required=True, help="its command, in an environment of its own")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that runs the tests")
    parser.add_argument("--group", choices=list(GROUPS), action="append", help="by default all; repeat")
    parser.add_argument("--sample", type=int, default=40, help="changes of each group")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for the tests of a change")
    parser.add_argument("--source", type=Path, default=REPOSITORY, help="repository to try")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        commands = options.cosmic_ray.absolute(), options.python.absolute()
        place = Workplace(Path(folder), options.source, *commands, options.timeout)
        for name in options.group or GROUPS:
            caught, tried = try_group(name, place, options.sample, options.seed)
            rows.append(f"| {name} | {caught} of {tried} | {100 * caught / max(tried, 1):.0f} % |")
            print(rows[-1], flush=True)
    print("\n| group | caught | share |\n|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
