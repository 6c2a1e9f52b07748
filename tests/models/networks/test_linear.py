"""Linear layers by oneDNN give what PyTorch's own give, and gradients come from those."""

import copy

import pytest
import torch
import torch.nn.functional as F

from clickpose.networks import linear as module
from clickpose.networks.linear import Linear, linear, pack
from clickpose.networks.self_attention import SelfAttention


@pytest.fixture
def onednn_calls(monkeypatch):
    """The shapes that oneDNN is asked for."""
    if module._ONEDNN is None:
        pytest.skip("this PyTorch has no oneDNN")
    calls, operator = [], module._ONEDNN

    def counted(x, *arguments):
        calls.append(tuple(x.shape))
        return operator(x, *arguments)

    monkeypatch.setattr(module, "_ONEDNN", counted)
    monkeypatch.setattr(module, "_LEAST_WORK", 2 * 3 * 16 * 24)
    return calls


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for shape in ((2, 3, 16), (24, 16), (24,))]


@pytest.mark.parametrize("relu", [False, True])
def test_the_product_is_the_same(onednn_calls, relu):
    x, weight, bias = tensors()
    expected = F.linear(x, weight, bias).relu() if relu else F.linear(x, weight, bias)
    assert (expected == 0).any() == relu
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, bias, relu), expected)
        torch.testing.assert_close(linear(x.transpose(0, 1), weight, bias, relu), expected.transpose(0, 1))
    assert onednn_calls == [(2, 3, 16), (3, 2, 16)]


def test_gradients_small_products_and_other_precisions_go_the_usual_way(onednn_calls):
    x, weight, bias = tensors()
    layer = Linear(16, 24)
    layer(x, relu=True).sum().backward()
    assert layer.weight.grad.abs().max() > 0
    with torch.no_grad():
        torch.testing.assert_close(linear(x[:1], weight, bias), F.linear(x[:1], weight, bias))
        double = [value.double() for value in (x, weight, bias)]
        assert torch.equal(linear(*double), F.linear(*double))
    assert not onednn_calls


def test_packed_layers_give_the_same_and_small_ones_are_left(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_PACKED", 24 * 16)
    torch.manual_seed(0)
    layers = torch.nn.Sequential(Linear(16, 24), torch.nn.Linear(24, 24), Linear(24, 2))
    x = torch.randn(2, 3, 16)
    with torch.inference_mode():
        before = layers(x), layers(x[:1]), layers[0](x, relu=True)
        names = list(layers.state_dict())
        pack(layers, rows=3)
        assert [getattr(layer, "packed", None) is not None for layer in layers] == [module._ONEDNN is not None, 0, 0]
        torch.testing.assert_close((layers(x), layers(x[:1]), layers[0](x, relu=True)), before)
        copied = copy.deepcopy(layers)
        torch.testing.assert_close(copied(x), before[0])
        assert copied[0].packed is None
    assert list(layers.state_dict()) == names
    layers(x).sum().backward()  # what is packed has no gradient
    assert layers[0].weight.grad.abs().max() > 0


def test_without_onednn_pytorch_chooses(monkeypatch):
    monkeypatch.setattr(module, "_ONEDNN", None)
    monkeypatch.setattr(module, "_LEAST_WORK", 0)
    x, weight, bias = tensors()
    with torch.no_grad():
        assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))


@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_is_that_of_pytorch_also_in_its_gradients(masked):
    torch.manual_seed(0)
    attention = SelfAttention(16, 4)
    torch.nn.init.normal_(attention.in_proj_bias)
    torch.nn.init.normal_(attention.out_proj.bias)
    content, position = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    mask = torch.ones(5, 5).triu(1).bool() if masked else None
    placed = content + position
    published = torch.nn.MultiheadAttention.forward
    wanted, _ = published(attention, placed, placed, content, attn_mask=mask, need_weights=False)
    (wanted_gradient,) = torch.autograd.grad(wanted.square().sum(), attention.in_proj_weight)
    found = attention(content, position, mask)
    (gradient,) = torch.autograd.grad(found.square().sum(), attention.in_proj_weight)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradient, wanted_gradient, atol=1e-4, rtol=1e-4)
