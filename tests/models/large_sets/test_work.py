"""Each photo exactly once, whatever dies at whatever moment, however many processes share the work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clickpose.large_sets import work
from clickpose.large_sets.claims import Claims
from clickpose.large_sets.joining import Join
from clickpose.large_sets.manifests import Listed
from clickpose.large_sets.run_folder import Asked, RunFolder
from clickpose.large_sets.work import Share, Worker

ASKED = Asked(network="fake", threshold=0.0, max_pixels=1, max_bytes=1, skeleton="coco")
PHOTOS = [f"{number}.jpg" for number in range(100)]  # 7 parts, the last one of 4


def pose(photos):
    return [{"photo": photo.name, "people": [{"score": len(photo.name)}]} for photo in photos]


def start(folder, photos=PHOTOS):
    return RunFolder.start(folder, ASKED, ["list"], (Listed(name, f"/photos/{name}") for name in photos))


def done_names(folders):
    return [row["photo"] for _, _, row in Join(folders).rows()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_death_at_any_moment_costs_no_photo_and_does_none_twice(tmp_path):
    """At each file that is opened, renamed, linked or removed; the next start finishes at once, without waiting."""
    command = [sys.executable, Path(__file__).with_name("crash.py"), tmp_path / "run"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["deaths"] > 40


SHARING = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_work import RunFolder, Share, Worker, pose, work
work.OTHERS_S = 0.01
worked = []
def note(photos):
    worked.append(len(photos))
    return pose(photos)
sys.stdin.readline()
Worker(RunFolder(Path(sys.argv[1])), note, Share(), print).work()
print("did", sum(worked))
"""


def test_processes_share_a_run_by_its_folder(tmp_path):
    """Three, begun at one signal; none does what another has done, and all end when all is done."""
    start(tmp_path, [f"{number}.jpg" for number in range(640)])
    code = SHARING.format(here=str(Path(__file__).parent))
    command = [sys.executable, "-c", code, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(int(text.split()[-1]) for text in printed) == 640
    assert done_names([tmp_path]) == [f"{number}.jpg" for number in range(640)]
    assert "640 of 640 photos" in "".join(printed)


def test_shards_in_folders_of_their_own_are_joined(tmp_path):
    for number in (1, 2, 3):
        folder = tmp_path / str(number)
        start(folder)
        Worker(RunFolder(folder), pose, Share.parse(f"{number}/3"), print).work()
    folders = [tmp_path / str(number) for number in (3, 1, 2)]
    assert done_names(folders) == PHOTOS
    with pytest.raises(ValueError, match=r"Expected all 7 parts, 2 are not done \(1, 4\)"):
        Join(folders[:2])
    assert Join(folders[:2], partial=True).count().missing == 32
    start(tmp_path / "other", PHOTOS[:-1])
    with pytest.raises(ValueError, match="Expected shares of one run, got other photos"):
        Join([tmp_path / "1", tmp_path / "other"])


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/", "a/b", "1/0", "-1/2"])
def test_a_shard_is_one_of_some(text):
    with pytest.raises(ValueError, match="Expected --shard such as 2/5"):
        Share.parse(text)


def test_a_worker_waits_for_others_and_takes_over_what_they_leave(tmp_path, monkeypatch):
    run, said = start(tmp_path), []
    others = Claims(run.claims).take(2)
    others.__enter__()
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            others.__exit__(None, None, None)

    monkeypatch.setattr(work.time, "sleep", wait)
    Worker(run, pose, Share(), said.append).work()
    assert len(waits) == 2 and said.count("Waiting for 1 part that others are at") == 1
    assert done_names([tmp_path]) == PHOTOS


def test_how_long_it_takes_is_told_from_what_all_have_done(tmp_path, monkeypatch):
    """16 photos of 100 took 20 s when somebody else did 16 beside: the other 68 take 42.5 s more."""
    run, said, clock = start(tmp_path), [], [0.0]
    monkeypatch.setattr(work.time, "monotonic", lambda: clock[0])

    def slowly(photos):
        clock[0] += 20.0
        if not run.is_done(5):
            RunFolder(tmp_path).finish(5, pose(run.photos(5)))
        return pose(photos)

    Worker(run, slowly, Share(), said.append).work()
    assert said[0] == "32 of 100 photos, about 40 s left"
    assert said[-1] == "100 of 100 photos"


def test_what_failed_is_kept_and_done_again_on_demand(tmp_path):
    run = start(tmp_path)
    bad = {"3.jpg", "99.jpg"}

    def sometimes(photos):
        return [
            {"photo": p.name, "error": "gone"} if p.name in bad else {"photo": p.name, "people": []} for p in photos
        ]

    said = []
    worker = Worker(run, sometimes, Share(), said.append)
    assert worker.work() == 2 and said[-1] == "100 of 100 photos, 2 failed here"
    assert Worker(run, sometimes, Share(), print).work() == 0  # all is done
    counted = Join([tmp_path]).count()
    assert (counted.photos, counted.failed, counted.errors) == (100, 2, ["3.jpg: gone", "99.jpg: gone"])
    bad.remove("3.jpg")
    assert worker.retry() == (2, 1)
    assert worker.retry() == (1, 1)
    counted = Join([tmp_path]).count()
    assert (counted.photos, counted.failed, counted.errors) == (100, 1, ["99.jpg: gone"])
    assert done_names([tmp_path]) == PHOTOS
