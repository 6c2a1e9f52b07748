"""A start that another network gave beside what lite sees: worked out by hand."""

import pytest
import torch

from clickpose.lite.strong_start import START_VARIANCE, hold_start, start_oks, weigh_starts
from clickpose.networks.lite_decoder import DecoderOutput

SIGMAS = torch.tensor([0.05, 0.1])
BOX = torch.tensor([10.0, 20.0, 110.0, 220.0])
TOLERANCE = 2 * SIGMAS * (0.53 * 100 * 200) ** 0.5  # px
SEEN = torch.tensor([[50.0, 60.0], [70.0, 80.0]])
LOGITS = torch.tensor([0.8, 0.5]).logit()  # variances .25 and 1


def at(*tolerances) -> torch.Tensor:
    """Return starts so many tolerances to the right of what lite sees."""
    return SEEN + torch.stack([torch.tensor(tolerances) * TOLERANCE, torch.zeros(2)], -1)


def moved(start) -> list[float]:
    """Return where the joints come to lie, in tolerances to the right of what lite sees."""
    found = weigh_starts(start, SEEN, LOGITS, BOX, SIGMAS) - SEEN
    assert not found[:, 1].any()
    return (found[:, 0] / TOLERANCE).tolist()


def test_near_starts_are_weighed_by_the_variances():
    shares = [0.25 / (START_VARIANCE + 0.25), 1 / (START_VARIANCE + 1)]  # of the start
    assert moved(at(1.0, 1.5)) == pytest.approx([shares[0], 1.5 * shares[1]], abs=1e-5)
    assert moved(at(0.0, 0.0)) == [0, 0]


def test_a_start_too_far_off_or_nowhere_is_lites():
    """d² / 2 beyond .5 + v: 1.22 and 1.73 tolerances."""
    assert moved(at(1.23, 1.74)) == [0, 0]
    assert min(moved(at(1.22, 1.73))) > 0.6
    assert torch.equal(weigh_starts(torch.full((2, 2), float("nan")), SEEN, LOGITS, BOX, SIGMAS), SEEN)


def test_expected_oks_of_a_start_by_hand():
    expected = [0.8 / (1 + 0.8 * 0.5), 0.5 / (1 + 0.5 * 2)]
    assert start_oks(at(1.0, 2.0), SEEN, LOGITS, BOX, SIGMAS).tolist() == pytest.approx(expected, abs=1e-6)
    nowhere = torch.full((2, 2), float("nan"))
    assert start_oks(nowhere, SEEN, LOGITS, BOX, SIGMAS).tolist() == [0, 0]


def test_the_last_layer_of_a_decoding_is_held():
    layers = torch.stack([SEEN + 9, SEEN])[:, None, None]
    output = DecoderOutput(layers, BOX.expand(2, 1, 1, 4), LOGITS[None, None], LOGITS[None, None], torch.zeros(1, 1, 2))
    held = hold_start(output, at(1.0, 9.0)[None, None], SIGMAS)
    assert torch.equal(held.keypoints_norm[0], layers[0])
    found = (held.keypoints_norm[1, 0, 0, :, 0] - SEEN[:, 0]) / TOLERANCE
    assert found.tolist() == pytest.approx([0.25 / (START_VARIANCE + 0.25), 0], abs=1e-5)
