"""Fig. 3: a blurred patch of growing size hides a wrist; does its confidence fall as its OKS does?

CCNet is fitted on photos as they are, and once more on these and on training photos in which a patch hides a wrist:
what the second does better, the first could not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate
from tqdm import tqdm

from calibration_study.networks import INPUT_SIDE, Networks, Variant, from_input, labelled_oks
from clickpose.calibration.ccnet_fit import LEFT_OUT, FeatureTable, apply_ccnet
from clickpose.data.persons import PersonBatch, PersonDataset
from clickpose.data.records import PersonRecord
from clickpose.metrics.correlation import pearson
from clickpose.networks.ccnet import CCNet
from clickpose.skeleton import COCO

PATCHES = (0, 16, 32, 48, 64, 96)  # sides, input pixels
WRISTS = [COCO.index("left_wrist"), COCO.index("right_wrist")]
_BATCH = 16
_COARSE = 16  # the patch shows the photo at 1/16 of its resolution
HEADS = ("CCNet", "CCNet with patches")
_CURVES = ("OKS", "original", *HEADS)
_HIDDEN_PERSONS, _HIDDEN_REPEATS = 960, 4  # so that about as many wrists are hidden as seen


def occlusion_curves(
    networks: Networks, heads: Mapping[str, Sequence[CCNet]], records: list[PersonRecord], persons: int
) -> dict[str, dict]:
    """Return, for each network, mean OKS of the wrist and its mean confidences by patch size.

    Args:
        networks: frozen.
        heads: fitted heads, as :data:`HEADS`, by the network's name.
        records: of whom persons with a visible wrist are taken, one wrist each.
        persons: at most that many.

    Returns:
        name -> ``patches``, the curves as [mean, standard error] rows, and ``pearson`` of each confidence with
        OKS over all patches.
    """
    chosen = [(record, wrist) for record in records if (wrist := _visible_wrist(record)) is not None][:persons]
    values = {name: np.zeros((len(_CURVES), len(PATCHES), len(chosen))) for name in heads}
    dataset = PersonDataset([record for record, _ in chosen], COCO, INPUT_SIDE)
    for start in tqdm(range(0, len(chosen), _BATCH), desc="hiding wrists", unit="batch", mininterval=5):
        rows = range(start, min(start + _BATCH, len(chosen)))
        batch = default_collate([dataset[row] for row in rows])
        wrists = torch.tensor([chosen[row][1] for row in rows])
        centers = batch.labels.keypoints_norm[torch.arange(len(rows)), wrists] * INPUT_SIDE
        for place, side in enumerate(PATCHES):
            predictions = networks.predict(hide(batch.image, centers, side), batch.prompt_norm)
            for name, fitted in heads.items():
                found = _of_wrists(predictions[name], fitted, [chosen[row][0] for row in rows], wrists)
                values[name][:, place, rows.start : rows.stop] = found
    return {name: _summary(curves) for name, curves in values.items()}


def hidden_wrists(seed: int = 0) -> Variant:
    """Return photos in which a patch of random size hides each person's first labelled wrist."""
    generator = torch.Generator().manual_seed(seed)

    def change(batch: PersonBatch) -> Tensor:
        labelled = batch.labels.visibility[:, WRISTS] > 0
        wrists = torch.tensor(WRISTS)[labelled.int().argmax(dim=1)]
        centers = batch.labels.keypoints_norm[torch.arange(len(wrists)), wrists] * INPUT_SIDE
        sides = torch.tensor(PATCHES[1:])[torch.randint(len(PATCHES) - 1, (len(wrists), 1), generator=generator)]
        return hide(batch.image, centers, sides * labelled.any(dim=1, keepdim=True))

    return Variant("hidden_wrists", change, _HIDDEN_PERSONS)


def with_hidden_wrists(table: FeatureTable, hidden: FeatureTable) -> FeatureTable:
    """Return a table with the hidden wrists of another added several times; their other joints are left out."""
    labelled = hidden.visibility[:, WRISTS] > 0
    first = torch.tensor(WRISTS)[labelled.int().argmax(dim=1)]
    is_hidden = F.one_hot(first, hidden.visibility.shape[1]).bool() & labelled.any(dim=1, keepdim=True)
    alone = replace(hidden, visibility=torch.where(is_hidden, hidden.visibility, LEFT_OUT))
    return FeatureTable.concatenate([table, *[alone] * _HIDDEN_REPEATS])


def hide(image: Tensor, centers: Tensor, side: float | Tensor) -> Tensor:
    """Blur a square patch of each photo.

    Args:
        image: (B, 3, S, S) uint8.
        centers: (B, 2) x, y of the patches, px.
        side: px, of all or (B, 1); 0 changes nothing.
    """
    height, width = image.shape[-2:]
    coarse = F.interpolate(image.float(), scale_factor=1 / _COARSE, mode="area")
    blurred = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    x = (torch.arange(width) + 0.5 - centers[:, :1]).abs() < side / 2  # (B, W)
    y = (torch.arange(height) + 0.5 - centers[:, 1:]).abs() < side / 2
    patch = (y[:, :, None] & x[:, None, :])[:, None]
    return torch.where(patch, blurred.round().to(torch.uint8), image)


def _visible_wrist(record: PersonRecord) -> int | None:
    """Return the first wrist that the annotator saw; None without one."""
    return next((wrist for wrist in WRISTS if record.visibility[wrist] == 2), None)


def _of_wrists(prediction, heads: Sequence[CCNet], records: list[PersonRecord], wrists: Tensor) -> np.ndarray:
    """Return (2 + heads, B): OKS, original confidence and the heads' of each person's wrist."""
    keypoints = from_input(prediction.keypoints_input.double().numpy(), records)
    original = prediction.scores.double().clamp(0, 1).numpy()
    curves = [labelled_oks(keypoints, records), original]
    curves += [apply_ccnet(head, prediction.features)[0] for head in heads]
    return np.stack([values[np.arange(len(records)), wrists] for values in curves])


def _summary(curves: np.ndarray) -> dict:
    count = max(curves.shape[2], 1)
    errors = curves.std(axis=2) / np.sqrt(count)
    result = {"patches": list(PATCHES), "persons": curves.shape[2]}
    for name, mean, error in zip(_CURVES, curves.mean(axis=2), errors, strict=True):
        result[name] = np.column_stack([mean, error]).round(5).tolist()
    oks = curves[0].ravel()
    confidences = zip(_CURVES[1:], curves[1:], strict=True)
    return result | {"pearson": {name: pearson(values.ravel(), oks) for name, values in confidences}}
