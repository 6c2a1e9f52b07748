"""Training the plain heads from a feature cache: the right maps are read, and a run can be resumed."""

import json

import numpy as np
import pytest
import torch
from calibration_study.head_training import HeadSamples, HeatmapTask, RleTask, trunk_maps
from calibration_study.heatmap_head import HeatmapHead
from calibration_study.rle_head import ResidualFlow, RleHead
from torch.utils.data import default_collate

from clickpose.data.feature_cache import MAPS, FeatureCache
from clickpose.training.engine import TrainConfig, Trainer

pytestmark = pytest.mark.slow

SHAPES = {
    "fine": (40, 16), "middle": (56, 8), "coarse": (168, 4), "top": (560, 2), "pyramid4": (24, 16), "pyramid8": (32, 8),
    "pyramid16": (64, 4), "heatmap_logits": (17, 16),
}  # fmt: skip


def write_part(folder, views: int, seed: int) -> None:
    """Write a cache of random features of 64 px views."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for name in MAPS:
        channels, side = SHAPES[name]
        np.save(folder / f"{name}.npy", rng.integers(-127, 128, (views, channels, side, side)).astype(np.int8))
        np.save(folder / f"{name}_scale.npy", rng.uniform(0.01, 0.02, (views, channels)).astype(np.float32))
    labels = {
        "keypoints_input": (17, 2), "heatmap_scores": (17,), "regressed_input": (17, 2), "keypoints_norm": (17, 2),
        "area_norm": (), "box_norm": (4,), "prompt_norm": (4,),
    }  # fmt: skip
    for name, shape in labels.items():
        np.save(folder / f"{name}.npy", rng.uniform(0.1, 0.9, (views, *shape)).astype(np.float32))
    np.save(folder / "visibility.npy", rng.integers(0, 3, (views, 17)))
    for name in ("box_known", "visibility_known"):
        np.save(folder / f"{name}.npy", np.ones(views, bool))
    (folder / "done.json").write_text(json.dumps({"views": views}))


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    for number, views in enumerate((3, 5)):
        write_part(tmp_path / f"part{number}", views, number)
    return FeatureCache(tmp_path / "part0", tmp_path / "part1")


def test_samples_are_the_cache_s_rows_across_parts(cache):
    samples = HeadSamples(cache, HeatmapTask.maps)
    assert len(samples) == 8
    batch = default_collate([samples[2], samples[(6, 11)]])
    features = trunk_maps(batch, samples.names)
    for row, view in enumerate((2, 6)):
        whole = cache[view].features()
        for name in HeatmapTask.maps:
            assert torch.equal(getattr(features, name)[row], getattr(whole, name))
        assert torch.equal(batch.keypoints_norm[row], cache[view].labels.keypoints_norm)
        assert torch.equal(batch.visibility[row], cache[view].labels.visibility)
    assert features.fine is None and features.top is None


@pytest.mark.parametrize("kind", ["heatmap", "rle"])
def test_a_stopped_run_ends_like_one_that_was_not(cache, tmp_path, kind):
    def train(folder, stop: int):
        torch.manual_seed(0)
        if kind == "heatmap":
            task = HeatmapTask(HeatmapHead(widths=(8, 8, 8)))
        else:
            task = RleTask(RleHead(input_side=64, hidden=8), ResidualFlow(2, 4))
        config = TrainConfig(steps=4, batch_size=4, warmup_steps=1, workers=0, checkpoint_steps=2, bf16=False)
        trainer = Trainer(task, HeadSamples(cache, task.maps), [1.0] * 8, default_collate, config, folder)
        if stop:
            trainer.config = TrainConfig(**{**config.__dict__, "steps": stop, "decay_share": 0.0})
        trainer.run()
        return trainer.average

    whole = train(tmp_path / "whole", 0)
    train(tmp_path / "halves", 2)
    resumed = train(tmp_path / "halves", 0)
    assert all(value.isfinite().all() for value in whole.values())
    for name, value in whole.items():
        assert torch.allclose(resumed[name], value, atol=1e-6), name
