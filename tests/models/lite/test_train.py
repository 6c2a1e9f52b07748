"""Training: it learns, it resumes, it averages gradients over processes as one process would."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from clickpose.data import feature_cache
from clickpose.data.coco import read_coco_persons
from clickpose.data.feature_cache import FeatureCache, build_feature_cache
from clickpose.data.persons import Augmentation, PersonDataset
from clickpose.lite.losses import LossWeights, pose_losses
from clickpose.lite.task import LiteTask, LiteTaskConfig
from clickpose.lite.train import LitePlan, TrainingFolder, train_lite
from clickpose.networks.lite import LiteConfig, LiteNetwork
from clickpose.networks.lite_decoder import DecoderConfig
from clickpose.skeleton import COCO
from clickpose.terms import oks_terms
from clickpose.training import engine
from clickpose.training.engine import EpochSampler, TrainConfig, Trainer, rate_factor
from clickpose.weights_io import read_metadata, save_weights

TINY = LiteConfig(64, DecoderConfig(flip_pairs=COCO.flip_pairs, dim=32, heads=2, layers=2, ffn_dim=48))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four made-up people on noise."""
    import json

    folder = tmp_path_factory.mktemp("people")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 90, "height": 80})
        points = np.concatenate([rng.uniform([15, 10], [70, 70], (17, 2)), rng.integers(1, 3, (17, 1))], 1)
        annotations.append(
            {"id": i, "image_id": i, "category_id": 1, "bbox": [10, 5, 65, 70], "area": 2400.0, "iscrowd": 0,
             "keypoints": points.ravel().tolist()}
        )  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


def make_trainer(folder, out, **changes):
    torch.manual_seed(0)
    config = TrainConfig(
        steps=6, batch_size=2, warmup_steps=2, workers=0, checkpoint_steps=3, bf16=False, learning_rate=2e-3
    )
    dataset = PersonDataset(read_coco_persons(folder), COCO, 64, Augmentation())
    task = LiteTask(LiteNetwork(TINY), COCO, LiteTaskConfig(frozen_blocks=2))
    return Trainer(task, dataset, [1.0] * len(dataset), default_collate, dataclasses.replace(config, **changes), out)


@pytest.mark.slow
def test_the_decoder_overfits_four_people(folder):
    torch.manual_seed(0)
    network = LiteNetwork(TINY)
    batch = default_collate([PersonDataset(read_coco_persons(folder), COCO, 64)[i] for i in range(4)])
    sigmas = torch.tensor(COCO.sigmas)
    with torch.no_grad():
        person = network.encode(batch.image, batch.prompt_norm).person
    queries = network.initial_queries(person)
    optimizer = torch.optim.AdamW(network.decoder.parameters(), 4e-3)
    for _ in range(320):
        output = network.decode(person, queries)
        loss = sum(pose_losses(output, batch.labels, queries.fixed, sigmas, LossWeights()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    final = output.keypoints_norm[-1, :, 0].detach()
    reached = oks_terms(final, batch.labels.keypoints_norm, batch.labels.area_norm, sigmas)
    start = oks_terms(person.initial_norm, batch.labels.keypoints_norm, batch.labels.area_norm, sigmas)
    assert start.mean() < 0.3 and reached.mean() > 0.9
    # the score head has learned what the layers reached
    assert (output.oks_logits[:, 0].sigmoid() - reached).abs().mean() < 0.15


def test_one_step_reports_every_term_and_changes_trunk_neck_and_decoder(folder, tmp_path):
    trainer = make_trainer(folder, tmp_path)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    terms = trainer.train_step(default_collate([trainer.dataset[i] for i in range(4)]))
    assert set(terms) == {"l1", "oks", "fine", "box", "score", "visibility", "instance", "heatmap", "heads"}
    changed = {
        name.split(".")[0] for name, value in trainer.model.state_dict().items() if not value.equal(before[name])
    }
    assert changed == {"trunk", "neck", "decoder"}


def test_cached_features_train_like_fresh_ones(folder, tmp_path):
    torch.manual_seed(0)
    network = LiteNetwork(TINY)
    dataset = PersonDataset(read_coco_persons(folder), COCO, 64, Augmentation())
    views = [(i, seed) for i in range(4) for seed in range(2)]
    build_feature_cache(network.trunk, dataset, views[:5], tmp_path / "first", batch_size=3)
    build_feature_cache(network.trunk, dataset, views[5:], tmp_path / "second", batch_size=3)
    cache = FeatureCache(tmp_path / "first", tmp_path / "second")
    assert len(cache) == 8
    cached, fresh = default_collate([cache[5], cache[(2, 99)]]), default_collate([dataset[views[5]], dataset[views[2]]])
    assert torch.equal(cached.labels.keypoints_norm, fresh.labels.keypoints_norm)
    with torch.inference_mode():
        ours = network.describe(cached.features(), cached.pose, cached.prompt_norm)
        theirs = network.encode(fresh.image, fresh.prompt_norm).person
    for ours_map, theirs_map in zip(ours.maps, theirs.maps, strict=True):
        assert (ours_map - theirs_map).abs().max() < 0.03 * theirs_map.abs().max()
    with pytest.raises(FileNotFoundError, match="Expected a finished feature cache"):
        FeatureCache(tmp_path / "nothing")


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(folder, tmp_path):
    whole = make_trainer(folder, tmp_path / "whole")
    whole.run()
    interrupted = make_trainer(folder, tmp_path / "parts")
    interrupted.config = dataclasses.replace(interrupted.config, checkpoint_steps=3)
    original = interrupted.train_step

    def stop_after_four(batch):
        if interrupted.step == 4:
            raise KeyboardInterrupt
        return original(batch)

    interrupted.train_step = stop_after_four
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    resumed = make_trainer(folder, tmp_path / "parts")
    assert resumed.step == 3
    resumed.run()
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name]), name


def test_losses_are_logged_below_their_names_whatever_their_order(folder, tmp_path):
    trainer = make_trainer(folder, tmp_path)
    for step, terms in ((1, {"l1": 1.0, "box": 2.0}), (2, {"box": 4.0, "l1": 3.0, "late": 9.0}), (3, {"box": 5.0})):
        trainer.step = step
        trainer._log(terms)
    assert (tmp_path / "losses.csv").read_text().splitlines() == [
        "step,l1,box", "1,1.00000,2.00000", "2,3.00000,4.00000", "3,,5.00000"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_diverged_training_stops_with_its_terms_and_keeps_its_checkpoint(folder, tmp_path):
    trainer = make_trainer(folder, tmp_path)
    trainer.run()
    saved = trainer.checkpoint_path.read_bytes()
    trainer.losses = lambda *_: {"l1": torch.tensor(2.0, requires_grad=True), "box": torch.tensor(float("nan"))}
    with pytest.raises(FloatingPointError, match="at step 6, got l1 2, box nan: the training has diverged"):
        trainer.train_step(default_collate([trainer.dataset[0]]))
    assert trainer.step == 6 and trainer.checkpoint_path.read_bytes() == saved


def test_processes_that_find_different_checkpoints_do_not_go_on(folder, tmp_path, monkeypatch):
    trainer = make_trainer(folder, tmp_path)
    trainer.step = 4
    trainer.save()
    monkeypatch.setattr(engine, "rank_and_world", lambda: (0, 2))
    monkeypatch.setattr(engine, "mean_over_processes", lambda value: value.float() / 2)  # the other one is at step 0
    with pytest.raises(ValueError, match="Expected all 2 processes to find one checkpoint, got step 4 here and others"):
        make_trainer(folder, tmp_path)


@pytest.mark.slow
def test_frozen_blocks_keep_their_weights(folder, tmp_path):
    trainer = make_trainer(folder, tmp_path)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("trunk.stem", "trunk.blocks.0.", "trunk.blocks.1.")) for name in changed)
    assert any(name.startswith("trunk.blocks.2.") for name in changed) and "decoder.codebook" in changed


def test_processes_share_a_batch_and_draw_the_same_epoch():
    weights = [1.0, 2.0, 1.0, 0.5]
    one = [batch for batch, _ in zip(EpochSampler(weights, 4, seed=3), range(5), strict=False)]
    parts = [
        [batch for batch, _ in zip(EpochSampler(weights, 4, seed=3, rank=r, world=2), range(5), strict=False)]
        for r in range(2)
    ]
    for whole, first, second in zip(one, *parts, strict=True):
        assert sorted(whole) == sorted(first + second)
    later = next(iter(EpochSampler(weights, 4, seed=3, first_step=3)))
    assert later == one[3]


def test_a_few_samples_of_little_weight_still_fill_every_step():
    steps = [batch for batch, _ in zip(EpochSampler([0.3, 0.3], 4, seed=0), range(60), strict=False)]
    assert min(map(len, steps)) == 1 and {index for batch in steps for index, _ in batch} == {0, 1}


def test_samples_of_a_group_come_together():
    groups = [0, 1] * 10
    weights = [1.0] * 20
    batches = [batch for batch, _ in zip(EpochSampler(weights, 5, seed=1, groups=groups), range(8), strict=False)]
    for epoch in (batches[:4], batches[4:]):
        assert sorted(i for batch in epoch for i, _ in batch) == list(range(20))
        assert all(len({groups[i] for i, _ in batch}) == 1 for batch in epoch)
    assert [batch[0][1] for batch in batches] == list(range(8))
    assert {groups[batch[0][0]] for batch in batches[:2] + batches[4:6]} == {0, 1}  # no group always comes first
    assert next(iter(EpochSampler(weights, 5, seed=1, first_step=6, groups=groups))) == batches[6]
    uneven = next(zip(EpochSampler([1.0] * 6, 3, seed=0, groups=[0, 0, 0, 0, 1, 1]), range(2), strict=False))
    assert len(uneven[0]) == 3  # a batch is whole, also where a group does not fill it


def test_the_rate_warms_up_stays_and_falls_to_zero():
    config = TrainConfig(steps=1000, warmup_steps=100, decay_share=0.4)
    assert rate_factor(0, config) == pytest.approx(0.01)
    assert rate_factor(99, config) == rate_factor(600, config) == 1.0
    assert rate_factor(700, config) == pytest.approx(0.5)
    assert rate_factor(1000, config) == 0.0


def test_the_rate_may_drop_to_a_share_instead():
    config = TrainConfig(steps=40, warmup_steps=0, decay_share=2 / 40, drop=0.1)
    assert [rate_factor(step, config) for step in (0, 38, 39)] == pytest.approx([1, 1, 0.1])


@pytest.mark.slow
def test_a_step_is_clipped_and_the_average_follows_slowly(folder, tmp_path):
    trainer = make_trainer(folder, tmp_path, clip_norm=1e-3, ema_decay=0.6)
    batch = default_collate([trainer.dataset[i] for i in range(2)])
    for _ in range(20):  # until the average is as slow as asked
        last = trainer.average["decoder.codebook"].clone()
        trainer.train_step(batch)
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    assert torch.stack([gradient.norm() for gradient in gradients]).norm() == pytest.approx(1e-3, rel=1e-3)
    now = trainer.model.decoder.codebook
    torch.testing.assert_close(trainer.average["decoder.codebook"], 0.6 * last + 0.4 * now.detach())
    assert not now.equal(last)


@pytest.mark.slow
def test_four_people_to_a_weights_file_and_a_folder_of_another_plan_is_refused(folder, tmp_path):
    start = tmp_path / "start.safetensors"
    save_weights(start, LiteNetwork(TINY).state_dict(), {"kind": "lite", "skeleton": "coco"})
    short = TrainConfig(steps=2, batch_size=2, workers=0, bf16=False)
    plan = LitePlan([TrainingFolder(folder)], start, tmp_path / "run", short, decoder=short, network=TINY)
    weights = train_lite(plan)
    assert read_metadata(weights, "lite")["steps"] == "2"
    assert train_lite(plan) == weights  # finished: nothing is trained again
    for change, told in (
        ({"decoder": dataclasses.replace(short, seed=1)}, "decoder.seed is 1 and was 0"),
        ({"trunk": dataclasses.replace(short, steps=3)}, "trunk.steps is 3 and was 2"),  # the decoder stands on its end
        ({"keep": 0.25}, "keep is 0.25 and was 0.0"),
        ({"task": LiteTaskConfig(click_rounds=(3,))}, r"task.click_rounds is \[3\] and was \[3, 6\]"),
    ):
        with pytest.raises(ValueError, match=f"got another: {told}. Name another working folder"):
            train_lite(dataclasses.replace(plan, **change))


@pytest.mark.slow
def test_a_run_may_be_made_longer_but_not_shorter(folder, tmp_path):
    start = tmp_path / "start.safetensors"
    save_weights(start, LiteNetwork(TINY).state_dict(), {"kind": "lite", "skeleton": "coco"})
    short = TrainConfig(steps=2, batch_size=2, workers=0, bf16=False)
    plan = LitePlan([TrainingFolder(folder)], start, tmp_path / "run", short, decoder=short, network=TINY)
    train_lite(plan)
    longer = dataclasses.replace(plan, decoder=dataclasses.replace(short, steps=3, checkpoint_steps=1))
    assert read_metadata(train_lite(longer), "lite")["steps"] == "3"
    with pytest.raises(ValueError, match=r"at least the 3 steps that .*decoder was trained for already, got 2"):
        train_lite(plan)


@pytest.mark.slow
def test_a_feature_cache_of_another_trunk_or_other_views_is_built_anew(folder, tmp_path, monkeypatch):
    torch.manual_seed(0)
    trunk, other = LiteNetwork(TINY).trunk, LiteNetwork(TINY).trunk
    records, views, built = read_coco_persons(folder), [(0, 0), (1, 0)], []
    encode = feature_cache._encode
    monkeypatch.setattr(feature_cache, "_encode", lambda *args: built.append(args) or encode(*args))
    moved = [dataclasses.replace(records[0], area=1.0), *records[1:]]
    plain = PersonDataset(records, COCO, 64, Augmentation())
    for number, (network, dataset, wanted) in enumerate((
        (trunk, plain, views),
        (other, plain, views),
        (other, plain, [(0, 0), (1, 1)]),
        (other, PersonDataset(records, COCO, 64, Augmentation(margin=(1.1, 1.2))), [(0, 0), (1, 1)]),
        (other, PersonDataset(records, COCO, 64, Augmentation(), seed=1), [(0, 0), (1, 1)]),
        (other, PersonDataset(moved, COCO, 64, Augmentation()), [(0, 0), (1, 1)]),
        (trunk, plain, views),
    ), 1):  # fmt: skip
        for _ in range(2):
            build_feature_cache(network, dataset, wanted, tmp_path / "cache")
            assert len(built) == number
    (tmp_path / "cache" / "done.json").write_text('{"views": 2}')  # 0.1.0's, which does not say what it is made from
    build_feature_cache(trunk, plain, views, tmp_path / "cache")
    assert len(built) == 8


@pytest.mark.slow
def test_trusted_labels_are_not_left_out_whatever_the_network_thinks(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("clickpose.lite.train.exchanged_labels", lambda *_: True)  # it takes all sides for exchanged
    start = tmp_path / "start.safetensors"
    save_weights(start, LiteNetwork(TINY).state_dict(), {"kind": "lite", "skeleton": "coco"})
    short = TrainConfig(steps=1, batch_size=2, workers=0, bf16=False)
    folders, out = [TrainingFolder(folder)], tmp_path / "run"
    plan = LitePlan(folders, start, out, short, decoder=short, network=TINY, trust_labels=True)
    assert read_metadata(train_lite(plan), "lite")["steps"] == "1"
    assert f"{folder.name}, 4 persons\n" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"trust_labels is false and was true. Name another working folder"):
        train_lite(dataclasses.replace(plan, trust_labels=False))
