"""The lite decoder as one ONNX graph: a click in, the person's new pose out, without torch and without the trunk.

With it a browser answers an edit by itself, from the features that the service has cached of the person. Nothing but
arithmetic in pixels goes in and out, so that whoever runs the graph has no rule of ours to repeat: growing the box,
mapping to the crop, mirroring, merging the views and holding the fixed joints are all in it, the very code of
:meth:`~clickpose.lite.predictor.LitePredictor.refine_region`.

``python -m clickpose.lite.decoder_export`` writes ``lite.decoder.onnx`` beside the shipped weights. Needs the ``train``
extra (onnx). Weights are stored in half precision, as they are on disk anyway, and widened when the graph is loaded,
which changes no answer.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clickpose.extras import require_extra
from clickpose.lite.calibration import CCNetScores, raw_scores
from clickpose.lite.mirrored_views import VIEWS, FlipTestLite, merge_stacked
from clickpose.lite.predictor import CLICK_BORDER, DEFAULT_FILE, LitePredictor
from clickpose.lite.strong_start import hold_start
from clickpose.networks.lite_decoder import DecoderOutput, EncodedPerson, PoseQueries
from clickpose.networks.onnx_tracing import trace_onnx
from clickpose.predictor import SAME_PERSON_IOU
from clickpose.terms import grow_boxes_tensor
from clickpose.weights_io import write_checksum

if TYPE_CHECKING:
    import onnx

FEATURES = ("map0", "map1", "map2", "map3", "candidates_norm", "candidate_scores", "initial_norm")
INPUTS = (*FEATURES, "square", "asked_box", "keypoints", "fixed", "box")
OUTPUTS = ("new_keypoints", "new_box", "keypoint_scores", "visibility_scores", "instance_score", "covered")
_SMALLEST_HALVED = 256  # numbers of a tensor that is worth it
FINGERPRINT = "clickpose_fingerprint"  # in the graph's metadata: of the weights and the flip test


def decoder_file(weights: Path) -> Path:
    """Return where the decoder of a weights file lies: ``lite.decoder.onnx`` beside ``lite.safetensors``."""
    return weights.with_name(f"{weights.stem}.decoder.onnx")


class StandaloneDecoder(nn.Module):
    """Refines one person, pixels in and out; N views of the person are given, 1 (as it is) or 2 (and mirrored).

    Args:
        predictor: whose network and calibrated scores go into the graph.

    Raises:
        ValueError: for scores that are calibrated by a curve, which the graph cannot say.
    """

    def __init__(self, predictor: LitePredictor):
        super().__init__()
        network, read_scores = predictor.network, predictor.read_scores
        plain = network.network if isinstance(network, FlipTestLite) else network
        self.both = FlipTestLite(plain, predictor.skeleton)
        if not isinstance(read_scores, CCNetScores) and read_scores is not raw_scores:
            raise ValueError("Expected scores of the network or of a CCNet head, got a calibration curve")
        self.holds = predictor.strong_starts
        self.head = read_scores.head if isinstance(read_scores, CCNetScores) else None

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Refine.

        Args:
            inputs: ``map0`` … ``map3`` (N, C, H, W) float16 and ``candidates_norm``, ``candidate_scores``,
                ``initial_norm`` float32, as :meth:`LitePredictor.encode` left them; ``square`` (3,) left, top and side
                of the person's square; ``asked_box`` (4,) that it was encoded for; ``keypoints`` (K, 2), NaN where
                there is none; ``fixed`` (K,) 1 for those a human placed, else 0; ``box`` (4,). Boxes are xyxy; all
                of these px, float64.

        Returns:
            ``new_keypoints`` (K, 2) and ``new_box`` (4,) px float64; ``keypoint_scores`` and ``visibility_scores``
            (K,), ``instance_score`` () float32; ``covered`` (), 1 where the square can serve this pose, else 0.
        """
        *features, square, asked_box, keypoints, fixed_numbers, box = inputs
        fixed = fixed_numbers > 0.5
        prompt = grow_boxes_tensor(box, keypoints, fixed)
        start = _to_norm(keypoints, square)
        merged = self._decode(features, start, fixed, _to_norm(prompt.view(2, 2), square).view(4))
        if self.holds:
            merged = hold_start(merged, start[None, None], self.both.sigmas)
        placed = _from_norm(merged.keypoints_norm[-1, 0, 0], square)
        exact = torch.where(fixed[:, None], keypoints, placed)
        low_high = _from_norm(merged.boxes_norm[-1, 0, 0].view(2, 2), square).view(4)
        oks, visibility = self._scores(merged)
        oks, visibility = oks.masked_fill(fixed, 1.0), visibility.masked_fill(fixed, 1.0)
        instance = (oks * visibility).sum() / visibility.sum().clamp(min=1e-9)  # CCNet: sum v s / sum v
        covered = _covers(square, keypoints, fixed, box) * _overlaps(asked_box, prompt)
        return exact, grow_boxes_tensor(low_high, exact, fixed), oks, visibility, instance, covered

    def _decode(self, features: list[Tensor], keypoints: Tensor, fixed: Tensor, box: Tensor) -> DecoderOutput:
        """Decode in each view and merge, as :meth:`FlipTestLite.decode` does, of which one view is a part."""
        *maps, candidates, candidate_scores, initial = features
        count = maps[0].shape[0]
        views = EncodedPerson(tuple(level.float() for level in maps), candidates, candidate_scores, initial, initial)
        asked = keypoints[None, None], fixed[None, None], box[None, None]
        queries = (torch.cat(pair)[:count] for pair in zip(asked, self.both.mirror(*asked), strict=True))
        output = self.both.network.decode(views, PoseQueries(*queries))
        is_mirrored = torch.arange(VIEWS)[:count] == 1
        pairs = list(zip(output, self.both.unmirror(output), strict=True))
        by_layer = [torch.where(_along(is_mirrored, 1, plain), other, plain) for plain, other in pairs[:2]]
        latest = [torch.where(_along(is_mirrored, 0, plain), other, plain) for plain, other in pairs[2:]]
        stacked = [x.transpose(0, 1).unsqueeze(2) for x in by_layer] + [x.unsqueeze(1) for x in latest]
        return merge_stacked(DecoderOutput(*stacked), self.both.sigmas)

    def _scores(self, merged: DecoderOutput) -> tuple[Tensor, Tensor]:
        logits = (merged.oks_logits, merged.visibility_logits) if self.head is None else self.head(merged.tokens)
        oks, visibility = (logit.float().sigmoid()[0, 0] for logit in logits)
        return oks, visibility


def _covers(square: Tensor, keypoints: Tensor, fixed: Tensor, box: Tensor) -> Tensor:
    """As :meth:`LitePredictor.covers`, of a pose whose clicks are placed: 1 or 0."""
    center = (box[:2] + box[2:]) / 2
    points = (torch.cat([center[None], keypoints]) - square[:2]) / square[2]
    counts = torch.cat([torch.ones_like(fixed[:1]), fixed])[:, None]
    beside = (points < CLICK_BORDER) | (points > 1 - CLICK_BORDER)
    return 1 - (beside & counts).float().amax()


def _overlaps(asked: Tensor, prompt: Tensor) -> Tensor:
    """Tell whether two (4,) boxes are of one person, as :func:`clickpose.predictor.best_region` does: 1 or 0."""
    shared = (torch.minimum(asked[2:], prompt[2:]) - torch.maximum(asked[:2], prompt[:2])).clamp(min=0).prod()
    union = (asked[2:] - asked[:2]).prod() + (prompt[2:] - prompt[:2]).prod() - shared
    return (shared >= SAME_PERSON_IOU * union).float()


def _along(flags: Tensor, axis: int, like: Tensor) -> Tensor:
    shape = [1] * like.dim()
    shape[axis] = -1
    return flags.view(shape)


def _to_norm(points: Tensor, square: Tensor) -> Tensor:
    return ((points - square[:2]) / square[2]).float()


def _from_norm(points_norm: Tensor, square: Tensor) -> Tensor:
    return points_norm.double() * square[2] + square[:2]


def example_inputs(predictor: LitePredictor, views: int = VIEWS) -> tuple[Tensor, ...]:
    """Return inputs of the right shapes and types, for an export."""
    config = predictor.network.config
    decoder, side = config.decoder, config.input_side
    joints = decoder.num_keypoints
    channels = [c + (joints if level == 0 else 0) for level, c in enumerate(decoder.level_channels)]
    maps = [torch.zeros(views, c, side // 4 >> level, side // 4 >> level).half() for level, c in enumerate(channels)]
    return (
        *maps,
        torch.full((views, joints, decoder.candidates, 2), 0.5),
        torch.full((views, joints, decoder.candidates), 0.5),
        torch.full((views, joints, 2), 0.5),
        torch.tensor([0.0, 0.0, 256.0], dtype=torch.float64),
        torch.tensor([64.0, 64.0, 192.0, 192.0], dtype=torch.float64),
        torch.full((joints, 2), 128.0, dtype=torch.float64),
        torch.zeros(joints, dtype=torch.float64),
        torch.tensor([64.0, 64.0, 192.0, 192.0], dtype=torch.float64),
    )


def export_decoder(predictor: LitePredictor) -> bytes:
    """Return the ONNX file of a predictor's decoder, for 1 or 2 views; the same weights give the same bytes.

    Without the package onnx (extra ``train``) the weights are stored in full precision, twice as large.

    Raises:
        ValueError: for scores that are calibrated by a curve.
    """
    decoder = StandaloneDecoder(predictor).eval()
    exported = trace_onnx(
        decoder, example_inputs(predictor), inputs=INPUTS, outputs=OUTPUTS,
        free_axes={name: {0: "views"} for name in FEATURES},
    )  # fmt: skip
    if importlib.util.find_spec("onnx") is None:
        return exported
    import onnx

    model = onnx.load_from_string(exported)
    _halve_weights(model)
    onnx.helper.set_model_props(model, {FINGERPRINT: predictor.fingerprint})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def read_fingerprint(path: Path) -> str:
    """Return which network's decoder an ONNX file is; an empty text where it does not say."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map.get(FINGERPRINT, "")


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store matrices and filters as float16 and widen them in the graph; those that would change stay as they are."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    widened = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _SMALLEST_HALVED or (array.astype(np.float16) != array).any():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}/half"))
        widened.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    for node in reversed(widened):
        model.graph.node.insert(0, node)


def main() -> None:
    """Write the shipped network's decoder beside its weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_FILE, help="lite weights (the shipped ones)")
    weights = parser.parse_args().checkpoint
    require_extra("train", "onnx")
    target = decoder_file(weights)
    target.write_bytes(export_decoder(LitePredictor.load(weights)))
    if weights == DEFAULT_FILE:
        write_checksum(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
