"""How photos look: the same in a mirror, told apart where two kinds differ, and not where they do not."""

import pytest
import torch

from clickpose.lite.looks import (
    APART,
    FEWEST_CROPS,
    Looks,
    describe_all,
    describe_looks,
    known_looks,
    looks_file,
    tell_apart,
)
from clickpose.networks.movenet import MoveNetThunder
from clickpose.weights_io import WEIGHTS_FOLDER, fingerprint, save_weights


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return MoveNetThunder().eval()


def crops(seed, count=FEWEST_CROPS, gain=1.0):
    """Noise of a brightness of its own in each crop."""
    generator = torch.Generator().manual_seed(seed)
    bright = 0.7 + 0.3 * torch.rand(count, 1, 1, 1, generator=generator)
    return (torch.rand(count, 3, 64, 64, generator=generator) * bright * gain * 255).to(torch.uint8)


def test_a_mirrored_crop_looks_the_same_and_the_order_of_crops_does_not_matter(trunk):
    images = crops(1, 3)
    described = describe_looks(trunk, images)
    assert torch.allclose(describe_looks(trunk, images.flip(-1)), described, atol=1e-5)
    assert torch.allclose(describe_all(trunk, [images[2:], images[:2]]), described[[2, 0, 1]], atol=1e-5)


def test_kinds_that_differ_are_told_apart_also_on_crops_that_nobody_measured(trunk):
    known = Looks.of(describe_looks(trunk, crops(1)))
    rule = tell_apart(known, describe_looks(trunk, crops(2, gain=0.3)))
    assert rule.is_new(describe_looks(trunk, crops(3, gain=0.3))).all()
    assert not rule.is_new(describe_looks(trunk, crops(4))).any()


def test_kinds_that_overlap_and_too_few_crops_give_no_rule(trunk):
    known = Looks.of(describe_looks(trunk, crops(1)))
    assert tell_apart(known, describe_looks(trunk, crops(2))) is None
    assert tell_apart(known, describe_looks(trunk, crops(2, FEWEST_CROPS - 1, gain=0.3))) is None


def test_the_line_is_as_far_from_both_kinds_by_what_they_vary():
    new = torch.tensor([[9.0, 0.0], [11.0, 0.0]]).repeat(50, 1)  # the kinds differ along the first number alone

    def known(spread):
        return Looks(torch.zeros(2), torch.diag(torch.tensor([spread**2, 1.0])))

    rule = tell_apart(known(2.0), new)  # spreads of 2 and 1: the line is at two thirds
    assert rule.threshold / rule.weights[0].item() == pytest.approx(2 / 3 * 10, abs=0.05)
    assert tell_apart(known(3.9), new) is not None and tell_apart(known(4.1), new) is None
    assert APART == 2.0


def test_the_file_belongs_to_its_weights(tmp_path):
    weights = tmp_path / "mine.safetensors"
    save_weights(weights, {"a": torch.zeros(2)}, {"kind": "lite", "skeleton": "coco"})
    assert known_looks(weights) is None
    looks = Looks(torch.rand(3), torch.rand(3, 3) * 1e-5)
    looks.save(looks_file(weights), "of other weights", "noise")
    assert known_looks(weights) is None
    looks.save(looks_file(weights), fingerprint(weights), "noise")
    read = known_looks(weights)
    assert torch.equal(read.mean, looks.mean) and torch.equal(read.covariance, looks.covariance)


def test_the_shipped_weights_know_how_photos_look():
    assert known_looks(WEIGHTS_FOLDER / "lite.safetensors").covariance.shape == (80, 80)
