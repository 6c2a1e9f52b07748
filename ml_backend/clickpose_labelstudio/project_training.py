"""``clickpose labelstudio train``: fetch what a project has labelled, train lite on it; a stopped run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.lite.team_learning import learn_from_team
from clickpose.lite.weights import read_skeleton
from clickpose_labelstudio.images import TaskImages
from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.labeling_config import parse_labeling_config
from clickpose_labelstudio.settings import ServiceSettings
from clickpose_labelstudio.training_folder import ANNOTATIONS, DATA, WEIGHTS, write_training_folder


@dataclass(frozen=True)
class ProjectTraining:
    """What to train on.

    Attributes:
        project: number of the Label Studio project.
        out: working folder; kept, so that a stopped run goes on with the labels that it started with.
        start: lite weights to go on from.
        trunk_steps, decoder_steps, keep: as in :func:`.learn_from_team`.
        threads: CPU threads.
    """

    project: int
    out: Path
    start: Path = DEFAULT_FILE
    trunk_steps: int | None = None
    decoder_steps: int | None = None
    keep: float | None = None
    threads: int = 1


def train_on_project(training: ProjectTraining, settings: ServiceSettings) -> Path:
    """Train on what humans have labelled in a project.

    Args:
        training: what to train on.
        settings: address and key of Label Studio, and where photos may come from.

    Returns:
        the weights file.

    Raises:
        ValueError: if the working folder holds finished weights, Label Studio does not answer, or nobody is labelled.
    """
    weights, data = training.out / WEIGHTS, training.out / DATA
    if weights.exists():
        raise ValueError(f"Expected a new working folder, got {training.out}, which holds finished weights")
    if (data / ANNOTATIONS).exists():
        print(f"going on with the labels in {data}, as they were when this training began", flush=True)
    else:
        _fetch(training, settings, data)
    torch.set_num_threads(training.threads)
    return learn_from_team(
        data, training.start, training.out, trunk_steps=training.trunk_steps,
        decoder_steps=training.decoder_steps, keep=training.keep,
    )  # fmt: skip


def _fetch(training: ProjectTraining, settings: ServiceSettings, data: Path) -> None:
    """Write the labels and photos of a project, with the joints of the weights to go on from."""
    skeleton = read_skeleton(training.start)
    with LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key) as client:
        config = parse_labeling_config(client.label_config(training.project), skeleton)
        tasks = list(client.tasks(training.project))
    report = write_training_folder(
        tasks,
        config,
        TaskImages(settings),
        data,
        lambda photos: tqdm(photos, desc="photos", unit="photo", mininterval=5),
    )
    for task, sentence in report.missing.items():
        print(f"task {task} is left out: {sentence}", flush=True)
    print(f"project {training.project}: {report.persons} persons on {report.photos} photos", flush=True)
