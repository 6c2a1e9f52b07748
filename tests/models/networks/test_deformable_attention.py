"""The forms of deformable attention give one result: grid_sample is the reference of the two that sum rows."""

import pytest
import torch

from clickpose.networks.deformable_attention import DeformableAttention, Memory, bilinear_rows

LEVELS = ((6, 9), (3, 5))


@pytest.fixture
def attention():
    torch.manual_seed(0)
    attention = DeformableAttention(dim=16, heads=4, levels=2, points=3)
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.5)  # far enough to leave the map
    torch.nn.init.normal_(attention.attention_weights.weight, std=0.5)
    torch.nn.init.normal_(attention.value_proj.bias)
    return attention


def memory_of(batch: int, padded: bool) -> Memory:
    generator = torch.Generator().manual_seed(1)
    count = sum(height * width for height, width in LEVELS)
    tokens = torch.randn(batch, count, 16, generator=generator)
    if not padded:
        return Memory(tokens, LEVELS)
    mask = torch.rand(batch, count, generator=generator) < 0.3
    return Memory(tokens, LEVELS, mask, torch.tensor([[[0.7, 1.0], [0.8, 1.0]], [[1.0, 0.5], [1.0, 2 / 3]]]))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("size", [2, 4])
def test_all_forms_agree_also_at_borders_and_on_padding(attention, padded, size):
    memory = memory_of(2, padded)
    generator = torch.Generator().manual_seed(2)
    query = torch.randn(2, 7, 16, generator=generator)
    references = torch.rand(2, 7, size, generator=generator)
    expected = attention.read_grid(query, references, memory)
    outside = attention.samples(query, references, memory).weights.sum(-1)
    assert outside.min() < 0.9  # some samples do lie outside the map or on padding
    for form in (attention.project_then_sum, attention.sum_then_project):
        if form == attention.project_then_sum and padded:
            rows = attention.value_proj(memory.tokens).masked_fill(memory.padding_mask[..., None], 0)
            assert not torch.equal(rows, attention.value_proj(memory.tokens))
        torch.testing.assert_close(form(query, references, memory), expected, atol=1e-5, rtol=1e-5)


def test_many_queries_are_worked_on_in_parts(attention):
    memory = memory_of(1, False)
    query, references = torch.randn(1, 3000, 16), torch.rand(1, 3000, 2)
    expected = attention.read_grid(query, references, memory)
    torch.testing.assert_close(attention.project_then_sum(query, references, memory), expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_offsets_weights_and_tokens_alike(attention):
    memory = memory_of(2, True)
    query, references = torch.randn(2, 5, 16), torch.rand(2, 5, 4)
    gradients = []
    for form in ("grid", "sum"):
        attention.zero_grad()
        tokens = memory.tokens.clone().requires_grad_()
        seen = memory._replace(tokens=tokens)
        if form == "grid":
            result = attention.read_grid(query, references, seen)
        else:
            result = attention.project_then_sum(query, references, seen)
        result.square().sum().backward()
        gradients.append([tokens.grad, attention.sampling_offsets.weight.grad, attention.value_proj.weight.grad])
    for by_grid, by_sum in zip(*gradients, strict=True):
        torch.testing.assert_close(by_sum, by_grid, atol=2e-4, rtol=1e-4)


def test_bilinear_rows_by_hand():
    # one point far outside a 1 x 1 map; one at x = 1.25, y = 0.5 cells from the first cell's centre of a 2 x 3 map
    x = torch.tensor([-9.0, (1.25 + 0.5) / 3]).view(1, 1, 1, 2)
    y = torch.tensor([-9.0, (0.5 + 0.5) / 2]).view(1, 1, 1, 2)
    samples = bilinear_rows(x, y, torch.full((1, 1, 1, 2), 0.5), ((1, 1), (2, 3)))
    assert samples.weights[0, 0, 0, 0::2].eq(0).all()
    assert samples.rows[0, 0, 0, 1::2].tolist() == [1 + 1, 1 + 2, 1 + 3 + 1, 1 + 3 + 2]
    torch.testing.assert_close(samples.weights[0, 0, 0, 1::2], 0.5 * torch.tensor([0.375, 0.125, 0.375, 0.125]))


def test_a_cache_in_half_precision_is_read_without_becoming_full(attention):
    memory = memory_of(1, False)
    query, references = torch.randn(1, 3, 16), torch.rand(1, 3, 4)
    halved = memory._replace(tokens=memory.tokens.half())
    rounded = memory._replace(tokens=memory.tokens.half().float())
    torch.testing.assert_close(
        attention.sum_then_project(query, references, halved), attention.sum_then_project(query, references, rounded)
    )
