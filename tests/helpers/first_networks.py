"""Networks of first poses that a test knows all about, and ONNX files whose peaks lie where a photo has its colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clickpose.first_pose.network import FirstPoses, PosesInBoxes, PosesOfPhotos
from clickpose.skeleton import COCO, Skeleton

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)  # of the first three joints; RGB
BACKGROUND = 40


def grid(box_xyxy, count: int) -> np.ndarray:
    """Return (count, 2) px joints down the middle of a box."""
    left, top, right, bottom = np.asarray(box_xyxy, float)
    return np.stack([np.full(count, (left + right) / 2), np.linspace(top, bottom, count + 2)[1:-1]], axis=1)


class InBoxes(PosesInBoxes):
    """Puts :func:`grid` in each box; ``asked`` counts the boxes that it was shown."""

    name, fingerprint = "grid", "1111"

    def __init__(self, skeleton: Skeleton = COCO, blind_left_of: float = -np.inf):
        self.skeleton, self.blind_left_of, self.asked = skeleton, blind_left_of, 0

    def pose(self, image, boxes_xyxy):
        self.asked += len(boxes_xyxy)
        keypoints = np.reshape([grid(box, len(self.skeleton)) for box in boxes_xyxy], (-1, len(self.skeleton), 2))
        keypoints[np.asarray(boxes_xyxy)[:, 0] < self.blind_left_of] = np.nan
        return FirstPoses(skeleton=self.skeleton, keypoints=keypoints, scores=np.full(keypoints.shape[:2], 0.25))


class OfPhotos(PosesOfPhotos):
    """Finds people in given boxes; ``looks`` counts the photos that it looked at."""

    name, fingerprint, skeleton = "finder", "2222", COCO

    def __init__(self, boxes_xyxy, scores=None):
        super().__init__()
        self.boxes_xyxy, self.looks = np.asarray(boxes_xyxy, float).reshape(-1, 4), 0
        self.scores = np.linspace(0.9, 0.6, len(self.boxes_xyxy)) if scores is None else np.asarray(scores)

    def look(self, image):
        self.looks += 1
        keypoints = np.reshape([grid(box, 17) for box in self.boxes_xyxy], (-1, 17, 2))
        return FirstPoses(
            skeleton=COCO, keypoints=keypoints, scores=np.full(keypoints.shape[:2], 0.5),
            boxes_xyxy=self.boxes_xyxy, instance_scores=self.scores,
        )  # fmt: skip


def coloured_photo(image_hw: tuple[int, int], points, radius: float = 5.0) -> np.ndarray:
    """Return an (H, W, 3) photo with a soft spot of each of the first three joints' colours at (3, 2) px points.

    Positions are those of the image's plane: the first pixel's middle lies at .5, .5.
    """
    photo = np.full((*image_hw, 3), BACKGROUND, float)
    ys, xs = np.mgrid[: image_hw[0], : image_hw[1]] + 0.5
    for (x, y), colour in zip(points, COLOURS, strict=True):
        share = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * radius**2))[..., None]
        photo += share * (colour - photo)
    return np.rint(photo).astype(np.uint8)


def colour_filters(joints: int, scale: float = 1.0) -> np.ndarray:
    """Return (joints, 3, 1, 1) filters that answer most where the joint's colour is; later joints take turns."""
    one = np.full((3, 3), -0.5, np.float32) + 1.5 * np.eye(3, dtype=np.float32)
    return scale * one[np.arange(joints) % 3].reshape(joints, 3, 1, 1)


def save_graph(path: Path, nodes, inputs, outputs, constants, metadata=None) -> Path:
    """Write an ONNX file.

    Args:
        path: the file.
        nodes: (operation, inputs, outputs, attributes) each.
        inputs, outputs: name -> (element type name, shape).
        constants: name -> array.
        metadata: text by name.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def values(named):
        return [
            helper.make_tensor_value_info(n, getattr(TensorProto, kind), shape) for n, (kind, shape) in named.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(kind, taken, made, **attributes) for kind, taken, made, attributes in nodes],
        "peaks", values(inputs), values(outputs),
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def save_peak_heatmaps(
    path: Path, input_hw: tuple[int, int], stride: int = 4, joints: int = 17, scale: float = 1.0
) -> Path:
    """Write a top-down network of heatmaps at a stride that peak where the joint's colour is."""
    height, width = input_hw
    return save_graph(
        path,
        [
            ("Conv", ["image", "filters"], ["full"], {}),
            ("AveragePool", ["full"], ["heatmaps"], {"kernel_shape": [stride, stride], "strides": [stride, stride]}),
        ],
        {"image": ("FLOAT", ["N", 3, height, width])},
        {"heatmaps": ("FLOAT", ["N", joints, height // stride, width // stride])},
        {"filters": colour_filters(joints, scale)},
    )


def save_peak_movenet(path: Path, side: int = 64) -> Path:
    """Write a network with MoveNet's answer, (1, 1, 17, 3) y, x, score: where there is most of a joint's colour."""
    filters = colour_filters(17, 1 / 255)
    return save_graph(
        path,
        [
            ("Cast", ["input"], ["pixels"], {"to": 1}),
            ("Transpose", ["pixels"], ["image"], {"perm": [0, 3, 1, 2]}),
            ("Conv", ["image", "filters"], ["full"], {}),
            ("Reshape", ["full", "flat_shape"], ["flat"], {}),
            ("ReduceMax", ["flat"], ["score"], {"axes": [2], "keepdims": 1}),
            ("ArgMax", ["flat"], ["place"], {"axis": 2, "keepdims": 1}),
            ("Div", ["place", "side"], ["row"], {}),
            ("Mod", ["place", "side"], ["column"], {}),
            ("Cast", ["row"], ["y"], {"to": 1}),
            ("Cast", ["column"], ["x"], {"to": 1}),
            ("Concat", ["y", "x"], ["yx"], {"axis": 2}),
            ("Add", ["yx", "half"], ["centre"], {}),
            ("Div", ["centre", "length"], ["place01"], {}),
            ("Concat", ["place01", "score"], ["rows"], {"axis": 2}),
            ("Unsqueeze", ["rows", "axes"], ["answer"], {}),
        ],
        {"input": ("INT32", [1, side, side, 3])},
        {"answer": ("FLOAT", [1, 1, 17, 3])},
        {
            "filters": filters, "flat_shape": np.array([1, 17, side * side]), "side": np.array(side),
            "half": np.array(0.5, np.float32), "length": np.array(side, np.float32), "axes": np.array([1]),
        },
    )  # fmt: skip


def save_peak_simcc(path: Path, input_hw: tuple[int, int], split: int = 2, joints: int = 17) -> Path:
    """Write a top-down network of SimCC whose maxima lie where the joint's colour is."""
    height, width = input_hw

    def bins(side: int) -> np.ndarray:  # a bin has the value of the pixel that it lies on
        spread = np.zeros((side, side * split), np.float32)
        spread[np.arange(side * split) // split, np.arange(side * split)] = np.where(
            np.arange(side * split) % split == 0, 1.0, 0.9
        )
        return spread

    return save_graph(
        path,
        [
            ("Conv", ["image", "filters"], ["full"], {}),
            ("ReduceMax", ["full"], ["along_x"], {"axes": [2], "keepdims": 0}),
            ("ReduceMax", ["full"], ["along_y"], {"axes": [3], "keepdims": 0}),
            ("MatMul", ["along_x", "bins_x"], ["simcc_x"], {}),
            ("MatMul", ["along_y", "bins_y"], ["simcc_y"], {}),
        ],
        {"image": ("FLOAT", ["N", 3, height, width])},
        {
            "simcc_x": ("FLOAT", ["N", joints, width * split]),
            "simcc_y": ("FLOAT", ["N", joints, height * split]),
        },
        {"filters": colour_filters(joints), "bins_x": bins(width), "bins_y": bins(height)},
    )


def save_peak_yolo(path: Path, side: int = 64, people: int = 2, inside: bool = False, **metadata: str) -> Path:
    """Write a network with the answer of a YOLO pose network: each of so many rows is the person of the photo's spots.

    Its box is that of the first three joints, grown by 2 px of the input; the others repeat them. Row 0 has the score
    .9, the later ones .8, .7, …; a last row of a low score lies elsewhere.

    Args:
        path: the file.
        side: of the input, px.
        people: rows.
        inside: write the answer of an export that suppresses doubles itself.
        metadata: in place of what such files say.
    """
    joints = 17
    scores = np.array([*(0.9 - 0.1 * np.arange(people)), 0.01], np.float32)
    rows = len(scores)
    nodes = [
        ("Conv", ["images", "filters"], ["full"], {}),
        ("Reshape", ["full", "flat_shape"], ["flat"], {}),
        ("ReduceMax", ["flat"], ["sure"], {"axes": [2], "keepdims": 1}),
        ("ArgMax", ["flat"], ["place"], {"axis": 2, "keepdims": 1}),
        ("Div", ["place", "side"], ["row"], {}),
        ("Mod", ["place", "side"], ["column"], {}),
        ("Cast", ["row"], ["y0"], {"to": 1}),
        ("Cast", ["column"], ["x0"], {"to": 1}),
        ("Concat", ["x0", "y0"], ["xy0"], {"axis": 2}),
        ("Add", ["xy0", "half"], ["xy"], {}),  # (1, K, 2)
        ("ReduceMin", ["xy"], ["least"], {"axes": [1], "keepdims": 0}),
        ("ReduceMax", ["xy"], ["most"], {"axes": [1], "keepdims": 0}),
        ("Sub", ["least", "two"], ["low"], {}),
        ("Add", ["most", "two"], ["high"], {}),  # (1, 2)
        ("Concat", ["xy", "sure"], ["triples"], {"axis": 2}),
        ("Reshape", ["triples", "one_row"], ["joints"], {}),  # (1, 1, 3 K)
    ]
    if inside:
        nodes += [("Concat", ["low", "high"], ["box"], {"axis": 1})]
    else:
        nodes += [
            ("Add", ["low", "high"], ["sum"], {}),
            ("Mul", ["sum", "half"], ["middle"], {}),
            ("Sub", ["high", "low"], ["size"], {}),
            ("Concat", ["middle", "size"], ["box"], {"axis": 1}),
        ]
    nodes += [
        ("Reshape", ["box", "one_row"], ["box_row"], {}),
        ("Expand", ["box_row", "rows4"], ["boxes"], {}),
        ("Expand", ["joints", "rows51"], ["all_joints"], {}),
        ("Concat", ["boxes", "scores", "all_joints"], ["people"], {"axis": 2}),
    ]
    width = 4 + (2 if inside else 1) + 3 * joints
    if inside:
        shape = [1, rows, width]
        nodes += [("Identity", ["people"], ["output0"], {})]
        told = np.stack([scores, np.zeros_like(scores)], axis=1)[None]
    else:
        shape = [1, width, rows]
        nodes += [("Transpose", ["people"], ["output0"], {"perm": [0, 2, 1]})]
        told = scores[None, :, None]
    said = {"task": "pose", "kpt_shape": "[17, 3]", "names": "{0: 'person'}", "imgsz": f"[{side}, {side}]"}
    return save_graph(
        path, nodes, {"images": ("FLOAT", [1, 3, side, side])}, {"output0": ("FLOAT", shape)},
        {
            "filters": colour_filters(joints), "flat_shape": np.array([1, joints, side * side]),
            "side": np.array(side), "half": np.array(0.5, np.float32), "two": np.array(2.0, np.float32),
            "one_row": np.array([1, 1, -1]), "rows4": np.array([1, rows, 4]),
            "rows51": np.array([1, rows, 3 * joints]), "scores": told,
        },
        said | metadata,
    )  # fmt: skip


def save_peak_rtmo(path: Path, side: int = 64) -> Path:
    """Write a network with RTMO's answer: (1, 2, 5) boxes with scores .9 and .1, (1, 2, K, 3) joints of the spots."""
    joints = 17
    return save_graph(
        path,
        [
            ("Conv", ["input", "filters"], ["full"], {}),
            ("Reshape", ["full", "flat_shape"], ["flat"], {}),
            ("ReduceMax", ["flat"], ["sure"], {"axes": [2], "keepdims": 1}),
            ("ArgMax", ["flat"], ["place"], {"axis": 2, "keepdims": 1}),
            ("Div", ["place", "side"], ["row"], {}),
            ("Mod", ["place", "side"], ["column"], {}),
            ("Concat", ["column", "row"], ["cells"], {"axis": 2}),
            ("Cast", ["cells"], ["xy0"], {"to": 1}),
            ("Add", ["xy0", "half"], ["xy"], {}),
            ("Concat", ["xy", "sure"], ["triples"], {"axis": 2}),
            ("Unsqueeze", ["triples", "axes"], ["one"], {}),
            ("Concat", ["one", "one"], ["keypoints"], {"axis": 1}),
            ("Identity", ["boxes"], ["dets"], {}),
        ],
        {"input": ("FLOAT", [1, 3, side, side])},
        {"dets": ("FLOAT", [1, 2, 5]), "keypoints": ("FLOAT", [1, 2, joints, 3])},
        {
            "filters": colour_filters(joints), "flat_shape": np.array([1, joints, side * side]),
            "side": np.array(side), "half": np.array(0.5, np.float32), "axes": np.array([1]),
            "boxes": np.array([[[1, 1, 9, 9, 0.9], [20, 20, 40, 40, 0.1]]], np.float32),
        },
    )  # fmt: skip
