"""MoveNet Thunder in torch against the published ONNX file."""

import numpy as np
import pytest
import torch

from clickpose.networks.movenet import MoveNetThunder, decode_heads
from clickpose.networks.movenet_onnx import read_movenet_onnx


@pytest.fixture(scope="module")
def onnx_path(shared_folder):
    return shared_folder / "weights" / "movenet-thunder-heads.onnx"


def test_matches_the_published_network(onnx_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 256, 256)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(onnx_path))
    name = session.get_inputs()[0].name
    runs = [session.run(None, {name: image[i : i + 1]}) for i in range(2)]
    expected = {o.name: np.concatenate(v) for o, v in zip(session.get_outputs(), zip(*runs, strict=True), strict=True)}

    network = MoveNetThunder().eval()
    network.load_state_dict(read_movenet_onnx(onnx_path))
    with torch.inference_mode():
        ours = network(torch.from_numpy(image))

    ends = {
        "center_0/conv2d_4": ours.center_logits,
        "kpt_heatmap_0/conv2d_5": ours.heatmap_logits,
        "kpt_regress_0/conv2d_6": ours.regression,
        "kpt_offset_0/conv2d_7": ours.offset,
        "model_1/re_lu_2": ours.pyramid4,
    }
    for end, value in ends.items():
        (theirs,) = [array for key, array in expected.items() if end in key]
        np.testing.assert_allclose(value.numpy(), theirs, atol=1e-3)


def test_a_file_without_a_layer_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "empty.onnx")
    with pytest.raises(
        ValueError, match=r"Expected one layer 'model/Conv1/Conv2D' of MoveNet Thunder in empty\.onnx, got 0"
    ):
        read_movenet_onnx(tmp_path / "empty.onnx")


def test_decoding_prefers_the_peak_near_the_regressed_point():
    network = MoveNetThunder(num_keypoints=1).eval()
    with torch.inference_mode():
        features = network(torch.zeros(1, 3, 64, 64))
    heat = torch.full((1, 1, 16, 16), -9.0)
    heat[0, 0, 2, 3] = 2.0  # the person in the middle
    heat[0, 0, 14, 14] = 3.0  # somebody else, a stronger peak far away
    center = torch.full((1, 1, 16, 16), -9.0)
    center[0, 0, 8, 8] = 5.0
    regression = torch.zeros(1, 2, 16, 16)
    regression[0, :, 8, 8] = torch.tensor([-5.5, -5.0])  # y, x from the centre cell: (2.5, 3)
    offset = torch.zeros(1, 2, 16, 16)
    offset[0, :, 2, 3] = torch.tensor([0.25, 0.75])
    pose = decode_heads(
        features._replace(center_logits=center, heatmap_logits=heat, regression=regression, offset=offset)
    )
    assert pose.keypoints_input[0, 0].tolist() == [(3 + 0.75) * 4, (2 + 0.25) * 4]
    assert pose.regressed_input[0, 0].tolist() == [3 * 4, 2.5 * 4]
    assert pose.heatmap_scores[0, 0].item() == pytest.approx(torch.tensor(2.0).sigmoid().item())
