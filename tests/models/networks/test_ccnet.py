"""The CCNet head: one affine map a joint, whatever form the features have."""

import pytest
import torch

from clickpose.networks.ccnet import CCNet


@pytest.fixture
def head():
    head = CCNet(3, 4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        head.weight.copy_(torch.randn(3, 2, 4, generator=generator))
        head.bias.copy_(torch.randn(3, 2, generator=generator))
    return head


def test_each_joint_has_its_own_weights(head):
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    output = head(features)
    expected = features @ head.weight[1, 0] + head.bias[1, 0]
    torch.testing.assert_close(output.score_logits[:, 1], expected)
    torch.testing.assert_close(output.visibility_logits[:, 2], features @ head.weight[2, 1] + head.bias[2, 1])


def test_a_vector_for_the_person_is_one_for_each_joint_alike(head):
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    for one, each in zip(head(features), head(features[:, None].expand(5, 3, 4)), strict=True):
        torch.testing.assert_close(one, each)
    variants = features[:, None, None].expand(5, 2, 3, 4)  # a decoder's (B, V, K, F)
    assert head(variants).score_logits.shape == (5, 2, 3)


def test_standardisation_is_part_of_the_state(head):
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(1)) * 7 + 3
    features[:, 2] = 5.0  # never changes: must not be divided by zero
    weight = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(2))
    head.initialize(features, torch.full((50, 3), 0.25), torch.ones(50, 3))
    with torch.no_grad():
        head.weight.copy_(weight)
    standard = (features - head.feature_mean) * head.feature_scale
    torch.testing.assert_close(standard.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    restored = CCNet.from_state(head.state_dict())
    assert (restored.num_keypoints, restored.num_features) == (3, 4)
    torch.testing.assert_close(restored(features).score_logits, head(features).score_logits)


def test_a_fit_starts_from_the_mean_oks_and_visibility_of_each_joint(head):
    visibility = torch.tensor([[2, 1, 0], [2, 0, 0]]).repeat(50, 1)
    oks = torch.tensor([[0.2, 0.9, torch.nan], [0.4, torch.nan, torch.nan]]).repeat(50, 1)
    head.initialize(torch.randn(100, 4, generator=torch.Generator().manual_seed(1)), oks, visibility)
    output = head(torch.randn(1, 4, generator=torch.Generator().manual_seed(2)))
    smoothed = torch.tensor([[31 / 102, 46 / 52, 1 / 2]])
    torch.testing.assert_close(output.score_logits.sigmoid(), smoothed)
    torch.testing.assert_close(output.visibility_logits.sigmoid(), torch.tensor([[101 / 102, 51 / 102, 1 / 102]]))


def test_every_parameter_gets_a_finite_gradient(head):
    sum(logits.square().sum() for logits in head(torch.ones(2, 4))).backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in head.parameters())


def test_wrong_use_is_a_sentence(head):
    with pytest.raises(ValueError, match=r"Expected 4 features, got shape \(2, 5\)"):
        head(torch.ones(2, 5))
    with pytest.raises(ValueError, match="at least one keypoint and feature"):
        CCNet(0, 4)
    with pytest.raises(ValueError, match=r"Expected a CCNet head with weight \(K, 2, F\), got shape \(\)"):
        CCNet.from_state({})
    with pytest.raises(ValueError, match="Expected the tensors of a CCNet head"):
        CCNet.from_state({"weight": head.weight.detach()})
