"""Trunk features of training views on disk, in eight bits, so that the decoder trains without running the trunk.

A view of 256x256 takes half a megabyte. Each channel of each map has its own scale; the error is below half a percent
of the channel's largest value.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from clickpose.data.persons import PersonDataset, PersonLabels
from clickpose.data.records import labels_digest
from clickpose.networks.channels_last import channels_last
from clickpose.networks.movenet import MoveNetFeatures, MoveNetPose, MoveNetThunder, decode_heads, scale_pixels

MAPS = ("fine", "middle", "coarse", "top", "pyramid4", "pyramid8", "pyramid16", "heatmap_logits")
_POSE = MoveNetPose._fields
_LABELS = PersonLabels._fields


class FeatureBatch(NamedTuple):
    """Cached features of B views, with prompt and labels as :class:`~clickpose.data.persons.PersonBatch` has them.

    ``maps`` are int8 tensors, ``scales`` their (B, C) float32 factors, both in the order of :data:`MAPS`; ``pose`` is
    the trunk's decoded one.
    """

    maps: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]
    pose: MoveNetPose
    prompt_norm: Tensor
    labels: PersonLabels

    def features(self) -> MoveNetFeatures:
        """Return the float maps; the heads other than the heatmap are None, the pose holds what they said."""
        pairs = zip(MAPS, self.maps, self.scales, strict=True)
        maps = {name: values.float() * scale[..., None, None] for name, values, scale in pairs}
        no: Any = None
        return MoveNetFeatures(**maps, center_logits=no, regression=no, offset=no)


def build_feature_cache(
    trunk: MoveNetThunder, dataset: PersonDataset, views: list[tuple[int, int]], folder: Path, batch_size: int = 32
) -> None:
    """Run the trunk over ``views``, (person index, random seed) pairs, and write one array a field.

    A finished cache of the same views, persons and trunk is kept; another or an unfinished one is built anew. Several
    processes can each build a part of the views, in a folder of its own; :class:`FeatureCache` reads the parts as one.

    Args:
        trunk: in its final state.
        dataset: persons, with the augmentation of the views.
        views: what to cache, in order.
        folder: where to.
        batch_size: views at once.
    """
    done = folder / "done.json"
    source = _source(trunk, dataset, views)
    if done.exists() and json.loads(done.read_text()) == source:
        return
    done.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    trunk = channels_last(trunk.eval())
    loader = DataLoader(dataset, batch_size, sampler=views, num_workers=1)
    arrays: dict[str, np.memmap] = {}
    start = 0
    for batch in tqdm(loader, desc="caching trunk features", unit="batch", mininterval=5):
        labels = {"prompt_norm": batch.prompt_norm, **batch.labels._asdict()}
        rows = _encode(trunk, batch.image) | {name: values.numpy() for name, values in labels.items()}
        for name, values in rows.items():
            if name not in arrays:
                shape = (len(views), *values.shape[1:])
                arrays[name] = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", values.dtype, shape)
            arrays[name][start : start + len(values)] = values
        start += len(batch.image)
    for array in arrays.values():
        array.flush()
    done.write_text(json.dumps(source))


def _source(trunk: MoveNetThunder, dataset: PersonDataset, views: list[tuple[int, int]]) -> dict[str, object]:
    """Return how many views a cache has and a mark of all that they are made from, but for the photos' pixels."""
    settings = (views, dataset.seed, dataset.input_side, dataset.augmentation, dataset.skeleton)
    digest = hashlib.sha256(f"{labels_digest(dataset.records)}{settings!r}".encode())
    for name, value in sorted(trunk.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return {"views": len(views), "source": digest.hexdigest()}


@torch.inference_mode()
def _encode(trunk: MoveNetThunder, image: Tensor) -> dict[str, np.ndarray]:
    image = image.to(trunk.stem.weight.device)
    with torch.autocast(image.device.type, torch.bfloat16):
        features = trunk(scale_pixels(image.contiguous(memory_format=torch.channels_last)))
    features = MoveNetFeatures(*(value.float().cpu() for value in features))
    rows = {name: value.numpy() for name, value in decode_heads(features)._asdict().items()}
    for name in MAPS:
        values = getattr(features, name)
        scale = values.abs().amax(dim=(2, 3)).clamp(min=1e-6) / 127
        rows[name] = (values / scale[..., None, None]).round().to(torch.int8).contiguous().numpy()
        rows[f"{name}_scale"] = scale.numpy()
    return rows


class FeatureCache(Dataset):
    """A cache on disk as training samples; an index may come with a training step, which is not needed.

    Args:
        folders: what :func:`build_feature_cache` wrote: the parts of the cache, in order.

    Attributes:
        source: for each part, the mark of what it was made from; None of one that an earlier version wrote.

    Raises:
        FileNotFoundError: if a part is not there or not finished.
    """

    def __init__(self, *folders: Path):
        names = (*MAPS, *(f"{name}_scale" for name in MAPS), *_POSE, "prompt_norm", *_LABELS)
        self.parts = []
        for folder in folders:
            if not (folder / "done.json").exists():
                raise FileNotFoundError(f"Expected a finished feature cache in {folder}, found none")
            self.parts.append({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names})
        self.ends = np.cumsum([len(part["area_norm"]) for part in self.parts])

        self.source = tuple(json.loads((folder / "done.json").read_text()).get("source") for folder in folders)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def locate(self, view: int) -> tuple[dict[str, np.ndarray], int]:
        """Return the part that holds a view, its arrays by name, and the view's row there."""
        number = int(np.searchsorted(self.ends, view, side="right"))
        return self.parts[number], int(view - (self.ends[number - 1] if number else 0))

    def __getitem__(self, index: int | tuple[int, int]) -> FeatureBatch:
        part, row = self.locate(index[0] if isinstance(index, tuple) else index)

        def read(name: str) -> Tensor:
            return torch.from_numpy(np.array(part[name][row]))

        maps, scales = tuple(read(name) for name in MAPS), tuple(read(f"{name}_scale") for name in MAPS)
        pose = MoveNetPose(*map(read, _POSE))
        return FeatureBatch(maps, scales, pose, read("prompt_norm"), PersonLabels(*map(read, _LABELS)))
