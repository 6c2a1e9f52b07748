"""The backbone: strides, channels, and folded normalisation."""

import torch

from clickpose.networks.backbone import BackboneConfig, FrozenBatchNorm, ResNetBackbone, fold_batch_norm


def tiny_backbone() -> ResNetBackbone:
    torch.manual_seed(0)
    backbone = ResNetBackbone(BackboneConfig((2, 1, 1, 1), width=4)).eval()
    for norm in (module for module in backbone.modules() if isinstance(module, FrozenBatchNorm)):
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return backbone


@torch.no_grad()
def test_maps_have_the_strides_and_channels_that_the_encoder_expects():
    backbone = tiny_backbone()
    maps = backbone(torch.randn(2, 3, 64, 96))
    assert [tuple(x.shape) for x in maps] == [(2, 32, 8, 12), (2, 64, 4, 6), (2, 128, 2, 3)]
    assert BackboneConfig(width=4).channels == (32, 64, 128)
    assert BackboneConfig().channels == (512, 1024, 2048)


@torch.no_grad()
def test_folding_the_normalisation_changes_no_value():
    backbone, image = tiny_backbone(), torch.randn(1, 3, 64, 64)
    before = backbone(image)
    fold_batch_norm(backbone)
    assert not any(isinstance(module, FrozenBatchNorm) for module in backbone.modules())
    for folded, plain in zip(backbone(image), before, strict=True):
        torch.testing.assert_close(folded, plain, atol=1e-4, rtol=1e-4)


def test_frozen_normalisation_by_hand():
    norm = FrozenBatchNorm(1)
    norm.weight.fill_(3.0)
    norm.bias.fill_(1.0)
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0 - norm.eps)
    torch.testing.assert_close(norm(torch.tensor([[[[6.0]]]])), torch.tensor([[[[7.0]]]]))  # (6 - 2) / 2 * 3 + 1
    assert not list(norm.parameters())
