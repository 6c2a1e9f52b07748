"""Training beside the service: one job at a time, told from disk, in a process of its own."""

import sys
import time
from dataclasses import replace

import pytest

from clickpose_labelstudio import training_jobs
from clickpose_labelstudio.interaction import RequestError
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_jobs import TrainingJobs

PATIENCE_S = 60.0
# Stands in for the command: says how it was called, waits for a word, then does what the word says.
SCRIPT = """
import os, sys, time
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1])
print("called", *sys.argv[1:])
print("url", os.environ["LABEL_STUDIO_URL"], "key", os.environ["LABEL_STUDIO_API_KEY"], flush=True)
(out / "data").mkdir(exist_ok=True)
while not (out / "word").exists():
    time.sleep(0.01)
word = (out / "word").read_text()
(out / "word").unlink()
print("10%\\r20%\\r100% done")
if word == "fail":
    sys.exit("Expected people labelled in the project, found none")
(out / "lite.safetensors").write_text("weights")
"""


@pytest.fixture
def settings(tmp_path):
    return ServiceSettings(
        cache_dir=tmp_path / "cache", label_studio_url="http://ls.test:1", label_studio_api_key="s3cret",
        train_arguments="--decoder-steps 5",
    )  # fmt: skip


@pytest.fixture
def jobs(tmp_path, settings, monkeypatch):
    """Jobs whose command is :data:`SCRIPT`; at the end all of them have ended."""
    monkeypatch.setattr(training_jobs, "RUN_CLICKPOSE", SCRIPT)
    started = []
    child = training_jobs.Child
    monkeypatch.setattr(training_jobs, "Child", lambda *args: started.append(child(*args)) or started[-1])
    made = TrainingJobs(tmp_path / "jobs", settings)
    made.started = started
    yield made
    for job in started:
        job.stop()
    wait_until(lambda: made.running() is None)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finish(jobs, tmp_path, job_id, word):
    place = tmp_path / "jobs" / job_id.rpartition("-")[0] / job_id.rpartition("-")[2]
    wait_until(place.is_dir)
    (place / "word").write_text(word)
    wait_until(lambda: jobs.status(job_id)["job_status"] != "started")
    return place


def test_a_job_runs_beside_and_keeps_its_weights(jobs, tmp_path, settings):
    job_id = jobs.start(7)
    assert job_id == "project-7-1"
    assert jobs.status(job_id)["job_status"] == "started"
    wait_until(lambda: "url" in jobs.status(job_id)["log"])
    running = jobs.status(job_id)
    assert (running["job"], running["job_status"]) == (job_id, "started")
    assert "labelstudio learn --project 7 --out " in running["log"]
    assert running["log"].splitlines()[0].endswith("--decoder-steps 5")
    assert "url http://ls.test:1 key s3cret" in running["log"]  # by the environment, not for a process list
    assert "s3cret" not in running["log"].splitlines()[0]
    place = finish(jobs, tmp_path, job_id, "succeed")
    done = jobs.status(job_id)
    assert (done["job_status"], done["checkpoint"]) == ("finished", str(place / "lite.safetensors"))
    assert done["log"].splitlines()[-1] == "100% done"
    wait_until(lambda: not (place / "data").exists())  # photos are Label Studio's
    assert TrainingJobs(tmp_path / "jobs", settings).status(job_id) == done  # as another process tells


def test_there_is_one_job_at_a_time(jobs, tmp_path, settings):
    first = jobs.start(7)
    assert jobs.start(8) == jobs.start(7) == TrainingJobs(tmp_path / "jobs", settings).start(9) == first
    finish(jobs, tmp_path, first, "succeed")
    assert len(jobs.started) == 1
    second = jobs.start(7)
    assert second == "project-7-2"
    finish(jobs, tmp_path, second, "succeed")


def test_a_job_that_fails_says_why_and_the_next_takes_the_labels_anew(jobs, tmp_path):
    first = jobs.start(7)
    finish(jobs, tmp_path, first, "fail")
    wait_until(lambda: jobs.status(first)["job_status"] == "failed")
    assert jobs.status(first)["log"].endswith("found none")
    second = jobs.start(7)
    assert second == "project-7-2"
    finish(jobs, tmp_path, second, "succeed")


def test_a_job_that_was_stopped_goes_on(jobs, tmp_path):
    first = jobs.start(7)
    wait_until(lambda: jobs.started and "url" in jobs.status(first)["log"])
    jobs.started[0].stop()
    wait_until(lambda: jobs.status(first)["job_status"] == "stopped")
    assert jobs.start(7) == first
    finish(jobs, tmp_path, first, "succeed")
    assert jobs.status(first)["job_status"] == "finished"


@pytest.mark.parametrize("job_id", ["project-7-1", "project-7-1/..", "../project-7-1", "project-7-１", "", None, 5, []])
def test_other_jobs_are_not_there(jobs, job_id):
    assert jobs.status(job_id) is None


def test_the_command_goes_on_from_the_weights_that_are_served(jobs, tmp_path, settings):
    command = TrainingJobs(tmp_path, replace(settings, checkpoint=tmp_path / "mine.safetensors"))._command(3, tmp_path)
    start = command.index(sys.executable)
    assert command[start + 3 :] == [
        "labelstudio", "learn", "--project", "3", "--out", str(tmp_path), "--train-dir", str(tmp_path),
        "--init", str(tmp_path / "mine.safetensors"), "--decoder-steps", "5",
    ]  # fmt: skip


def test_only_lite_is_trained(tmp_path, settings):
    jobs = TrainingJobs(tmp_path / "jobs", replace(settings, model="r50"))
    with pytest.raises(RequestError, match="Expected the lite network"):
        jobs.start(7)
    assert not (tmp_path / "jobs").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, settings):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="folder of training jobs cannot be written: Not a directory"):
        TrainingJobs(tmp_path / "file" / "jobs", settings).start(7)
