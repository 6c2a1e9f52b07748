"""Channel statistics: measured as by hand, and matched so that new photos give what the old ones gave."""

import pytest
import torch

from clickpose.lite.channel_statistics import (
    ChannelStatistics,
    match_channels,
    measure,
    source_statistics,
    statistics_file,
)
from clickpose.networks.movenet import MoveNetThunder, scale_pixels
from clickpose.weights_io import save_weights


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    return MoveNetThunder().eval()


def crops(seed, gain=1.0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(4, 3, 64, 64, generator=generator)
    return (image * gain * 255).to(torch.uint8)


def test_statistics_are_those_of_the_outputs(trunk):
    images = crops(1)
    found = measure(trunk, [images])
    stem = torch.nn.functional.pad(scale_pixels(images), (0, 1, 0, 1))
    output = trunk.stem(stem)
    assert torch.allclose(found.means["stem"], output.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(found.spreads["stem"], output.std((0, 2, 3), unbiased=False), atol=1e-5)
    assert not any(name.startswith(("heatmap", "offset", "center", "regression")) for name in found.means)
    with pytest.raises(ValueError, match="at least one batch of crops, got none"):
        measure(trunk, [])


def test_a_matched_trunk_sees_new_photos_as_it_saw_the_old_ones(trunk):
    old, dark = crops(1), crops(2, gain=0.2)
    source = measure(trunk, [old])
    before = measure(trunk, [dark])
    match_channels(trunk, [dark], source)
    after = measure(trunk, [dark])
    for name in (
        "stem",
        "blocks.0.depthwise",
        "blocks.1.expand",
    ):  # behind them an untrained trunk gives next to nothing
        assert (before.means[name] - source.means[name]).abs().max() > source.spreads[name].mean()
        assert torch.allclose(after.means[name], source.means[name], atol=1e-4), name
        assert torch.allclose(after.spreads[name], source.spreads[name], atol=1e-4), name


def test_none_of_the_way_changes_nothing_and_half_of_it_half(trunk):
    old, dark = crops(1), crops(2, gain=0.2)
    source, before = measure(trunk, [old]), measure(trunk, [dark])
    state = {name: value.clone() for name, value in trunk.state_dict().items()}
    match_channels(trunk, [dark], source, strength=0.0)
    assert all(torch.allclose(value, state[name], atol=1e-6) for name, value in trunk.state_dict().items())
    match_channels(trunk, [dark], source, strength=0.5)
    half = (before.means["stem"] + source.means["stem"]) / 2
    assert torch.allclose(measure(trunk, [dark]).means["stem"], half, atol=1e-4)


def test_the_file_belongs_to_its_weights(trunk, tmp_path):
    found = measure(trunk, [crops(1)])
    weights = tmp_path / "mine.safetensors"
    save_weights(weights, {"a": torch.zeros(2)}, {"kind": "lite", "skeleton": "coco"})
    assert source_statistics(weights) is None
    found.save(statistics_file(weights), "of other weights", "four crops of noise")
    assert source_statistics(weights) is None
    from clickpose.weights_io import fingerprint

    found.save(statistics_file(weights), fingerprint(weights), "four crops of noise")
    read = source_statistics(weights)
    assert read.means.keys() == found.means.keys()
    assert all(torch.equal(read.spreads[name], value) for name, value in found.spreads.items())
    other = ChannelStatistics({"x": torch.zeros(1)}, {"x": torch.ones(1)})
    with pytest.raises(ValueError, match="statistics of this trunk"):
        match_channels(trunk, [crops(1)], other)
