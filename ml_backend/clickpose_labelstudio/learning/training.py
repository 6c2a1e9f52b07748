"""A training job from labels to a version: fetch, hold out, train, calibrate, compare, and go live or not.

Every step leaves what it has done in the working folder, so that a job which was stopped goes on. Who is held out is
decided by the number of the task alone: nobody is ever trained on by one version and held out by the next.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.calibration.calibrator_file import CCNET_KIND, save_ccnet
from clickpose.calibration.fit import fit_calibration
from clickpose.calibration.provenance import Provenance
from clickpose.data.coco import read_coco_persons
from clickpose.data.records import PersonRecord
from clickpose.image_io import read_image
from clickpose.lite.calibration import calibration_files
from clickpose.lite.comparison import compare_networks, measure_network
from clickpose.lite.predictor import DEFAULT_FILE, LitePredictor, load_network, network_mark
from clickpose.lite.team_learning import learn_from_team
from clickpose.lite.tokens import collect_lite
from clickpose.lite.train import TrainingFolder
from clickpose.lite.two_kinds import copy_weights
from clickpose.lite.weights import read_skeleton
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton
from clickpose.token_calibration import FEWEST_FOR_HEAD, TokenHead, token_sample
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.label_studio_auth import LabelStudioError
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import LabelingConfig, parse_labeling_config
from clickpose_labelstudio.learning.renewal import renew_predictions
from clickpose_labelstudio.learning.verdict import Bar, Verdict, judge
from clickpose_labelstudio.learning.versions import BASE, Version, VersionError, Versions
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_folder import (
    ANNOTATIONS,
    DATA,
    HELD_OUT,
    REPLAY,
    TRAINING,
    WEIGHTS,
    write_training_folder,
)

if TYPE_CHECKING:
    from clickpose.metrics.bootstrap import Comparison

HELD_OUT_SHARE = 0.25
DEMO = Path(__file__).parents[1] / "demo"


@dataclass(frozen=True, kw_only=True)
class LearningJob:
    """What to learn from.

    Attributes:
        project: number of the Label Studio project.
        out: working folder; kept, so that a stopped job goes on with the labels that it began with.
        start: lite weights to go on from: those that the service was started with, of whatever version is live.
        replay: COCO-form folder of labelled photos of the kind that the network knows, or None. Every second photo is
            trained on along with the project's, the others are compared on.
        trunk_steps, decoder_steps, keep: as in :func:`.learn_from_team`.
        threads: CPU threads.
        bar: what a version must reach to go live.
    """

    project: int
    out: Path
    start: Path = DEFAULT_FILE
    replay: Path | None = None
    trunk_steps: int | None = None
    decoder_steps: int | None = None
    keep: float | None = None
    threads: int = 1
    bar: Bar = field(default_factory=Bar)

    @property
    def name(self) -> str:
        """The id of the job, by which a version is known to have been made already."""
        return f"project-{self.project}-{self.out.name}"


def learn(job: LearningJob, settings: ServiceSettings, versions: Versions) -> Version:
    """Make a version of what a project has labelled, and let it go live if it is no worse.

    Args:
        job: see there.
        settings: address and key of Label Studio, and where photos may come from.
        versions: of the project.

    Returns:
        the version; :meth:`Versions.live` tells whether it is served.

    Raises:
        ValueError, OSError: if the working folder holds a finished job, Label Studio does not answer, nobody is
            labelled, or the replayed photos' folder cannot be read.
    """
    if (job.out / WEIGHTS).exists():
        raise ValueError(f"Expected a new working folder, got {job.out}, which holds finished weights")
    torch.set_num_threads(job.threads)
    skeleton = read_skeleton(job.start)
    if job.replay is not None:
        _persons(job.replay, skeleton)  # a folder that cannot be read is refused before anything is done
    _fetch(job, settings, skeleton)
    trained = _train(job)
    present = _served(versions, skeleton)
    before = job.start if present.weights is None else present.weights
    candidate = job.out / "candidate" / WEIGHTS
    candidate.parent.mkdir(exist_ok=True)
    copy_weights(trained, candidate)
    held_out = _persons(job.out / HELD_OUT, skeleton)
    calibrated = _calibrate(candidate, held_out, skeleton)
    verdict = _compare(job, before, candidate, held_out, skeleton)
    facts = {
        "job": job.name, "start": job.start.name, "before": present.number,
        "persons": len(_persons(job.out / DATA, skeleton)), "held_out": len(held_out),
        "fingerprint": network_mark(candidate), "calibration": calibrated, "verdict": verdict.as_facts(),
    }  # fmt: skip
    made = [version for version in versions.all() if version.facts.get("job") == job.name]  # before it was stopped
    version = made[0] if made else versions.add(lambda place: _put(candidate.parent, place, facts))
    print(f"version {version.number} of project {job.project}:", *verdict.reasons, sep="\n  ", flush=True)
    if verdict.passed:
        versions.use(version.number, f"trained on {facts['persons']} persons, no worse than version {present.number}")
        print("It is live now.", flush=True)
        _renew(job, settings, version)
    else:
        print(f"It does not go live; version {present.number} stays.", flush=True)
    copy_weights(candidate, job.out / WEIGHTS)  # the last thing: it tells that the job has finished
    return version


def _served(versions: Versions, skeleton: Skeleton) -> Version:
    """Return the version that is served: the base where that of the live one's joints cannot be."""
    present = versions.live()
    try:
        present.check_joints(skeleton)
        return present
    except VersionError as error:
        print(f"{error}; the base is served and compared with", flush=True)
        return versions.get(BASE)


def _renew(job: LearningJob, settings: ServiceSettings, version: Version) -> None:
    """Let what nobody has begun start from the new version; the version is live whether that can be done or not."""
    try:
        with LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key) as client:
            count = renew_predictions(client, job.project, version.number)
        print(f"{count} tasks that nobody had begun got new predictions", flush=True)
    except LabelStudioError as error:
        print(f"Tasks that nobody had begun keep their predictions: {error}", flush=True)


def is_held_out(project: int, task_id: object) -> bool:
    """Tell whether the people of a task are never trained on: of each project the same quarter, whenever one asks."""
    digest = hashlib.sha256(f"{project}:{task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64


def _fetch(job: LearningJob, settings: ServiceSettings, skeleton: Skeleton) -> None:
    """Write labels and photos of a project, those to train on and those that are held out."""
    if (job.out / HELD_OUT / ANNOTATIONS).exists():
        print(f"going on with the labels in {job.out}, as they were when this job began", flush=True)
        return
    with LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key) as client:
        config = parse_labeling_config(client.label_config(job.project), skeleton)
        tasks = list(client.tasks(job.project))
    apart = [[], []]  # type: list[list[dict]]
    for task in tasks:
        apart[is_held_out(job.project, task.get("id"))].append(task)
    _write(job, apart[False], config, settings, DATA)
    try:
        _write(job, apart[True], config, settings, HELD_OUT)
    except ValueError as error:  # such as that none of them is labelled yet
        print(f"nobody is held out: {error}", flush=True)
        _write_nobody(job.out / HELD_OUT, skeleton)


def _write(
    job: LearningJob, tasks: Sequence[dict], config: LabelingConfig, settings: ServiceSettings, name: str
) -> None:
    report = write_training_folder(
        tasks, config, TaskImages(settings), job.out / name,
        lambda photos: tqdm(photos, desc=f"photos, {name}", unit="photo", mininterval=5),
    )  # fmt: skip
    for task, sentence in report.missing.items():
        print(f"task {task} is left out: {sentence}", flush=True)
    print(f"project {job.project}, {name}: {report.persons} persons on {report.photos} photos", flush=True)


def _write_nobody(folder: Path, skeleton: Skeleton) -> None:
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.names)}
    folder.mkdir(parents=True, exist_ok=True)
    content = {"images": [], "annotations": [], "categories": [category]}
    (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")


def _persons(folder: Path, skeleton: Skeleton) -> list[PersonRecord]:
    return read_coco_persons(folder, skeleton)


def _train(job: LearningJob) -> Path:
    return learn_from_team(
        job.out / DATA, job.start, job.out / TRAINING, ordinary=_replayed(job),
        trunk_steps=job.trunk_steps, decoder_steps=job.decoder_steps, keep=job.keep,
    )  # fmt: skip


def _replayed(job: LearningJob) -> list[TrainingFolder]:
    """Return the half of the ordinary photos that is trained on, of which no more people are shown than of the team's.

    The other half is what the version is compared on.
    """
    if job.replay is None:
        return []
    skeleton = read_skeleton(job.start)
    half = _half_of(job.replay, job.out / REPLAY)
    own, ordinary = len(_persons(job.out / DATA, skeleton)), len(_persons(half, skeleton))
    return [TrainingFolder(half, min(1.0, own / ordinary))] if ordinary else []


def _half_of(folder: Path, out: Path) -> Path:
    """Write the photos of a COCO-form folder that are trained on as one of its own."""
    content: dict = json.loads((folder / ANNOTATIONS).read_text(encoding="utf-8"))  # it could be read as COCO
    images = [image for image in content["images"] if not is_compared(str(image["file_name"]))]
    kept = {image["id"] for image in images}
    people = [each for each in content["annotations"] if each["image_id"] in kept]
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "images").exists():
        (out / "images").symlink_to((folder / "images").resolve())
    (out / ANNOTATIONS).write_text(json.dumps({**content, "images": images, "annotations": people}), encoding="utf-8")
    return out


def is_compared(file_name: str) -> bool:
    """Tell whether an ordinary photo is compared on, and never trained on: every second one, by its name."""
    return hashlib.sha256(Path(file_name).name.encode()).digest()[0] % 2 == 1


def _calibrate(weights: Path, held_out: Sequence[PersonRecord], skeleton: Skeleton) -> str:
    """Fit a head on the held-out people where that is nearer to the truth; return what its scores are then.

    Only a head goes to the browsers with the decoder: with a curve they would ask the service for every drag.
    """
    if len(held_out) < FEWEST_FOR_HEAD:
        return f"its own scores: {len(held_out)} held-out persons are too few to calibrate on"
    tables = collect_lite(load_network(weights), held_out, skeleton)
    fit = fit_calibration(token_sample(tables), skeleton, heads=(TokenHead(),), curves=())
    if fit.keeps_own:
        return "its own scores, which no calibration is better than"
    provenance = Provenance.today("lite", skeleton, f"{len(held_out)} held-out persons", network_mark(weights))
    save_ccnet(calibration_files(weights)[0], fit.fitted.state_dict(), provenance)
    return f"{CCNET_KIND}, {fit.comparison[-1]}"


def _compare(
    job: LearningJob, before: Path, after: Path, held_out: Sequence[PersonRecord], skeleton: Skeleton
) -> Verdict:
    """Compare a version with what is served, and with what was known."""
    own = _figures(before, after, held_out, skeleton) if len(held_out) >= job.bar.fewest_persons else None
    if job.replay is not None:
        ordinary = [each for each in _persons(job.replay, skeleton) if is_compared(each.image_path.name)]
        known = _figures(job.start, after, ordinary, skeleton)
        return judge(own, len(held_out), known=known, bar=job.bar)
    return judge(own, len(held_out), agreement=agreement_on_demo(job.start, after), bar=job.bar)


def _figures(before: Path, after: Path, records: Sequence[PersonRecord], skeleton: Skeleton) -> dict[str, Comparison]:
    old, new = (measure_network(load_network(path), records, skeleton) for path in (before, after))
    return compare_networks(old, new, records, skeleton)


def agreement_on_demo(before: Path, after: Path) -> float:
    """Return the mean OKS of what two networks see in the photos that come with the package, visible joints only."""
    old, new = (LitePredictor.load(path) for path in (before, after))
    terms: list[float] = []
    for photo in sorted(DEMO.glob("*.jpg")):
        image = read_image(photo)
        boxes, _ = old.detect(image)
        if not len(boxes):
            continue
        first = old.decode(old.encode(image, boxes), boxes)
        second = new.decode(new.encode(image, boxes), boxes)
        areas = BODY_SHARE_OF_BOX * (first.boxes_xyxy[:, 2:] - first.boxes_xyxy[:, :2]).prod(axis=1)
        oks = keypoint_oks(second.keypoints, first.keypoints, areas, old.skeleton.sigma_array)
        terms += oks[first.visibility_scores > 0.5].tolist()
    return float(np.mean(terms))


def _put(source: Path, place: Path, facts: dict) -> dict:
    for path in source.iterdir():
        shutil.copyfile(path, place / path.name)
    return facts
