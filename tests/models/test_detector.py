"""The person detector: decoding and letterbox by hand, the shipped network on real photos."""

import json
from pathlib import Path

import numpy as np
import pytest

from clickpose.boxes import box_iou, xywh_to_xyxy
from clickpose.detector import DEFAULT_FILE, Letterbox, PersonDetector, decode_level
from clickpose.image_io import read_image
from clickpose.weights_io import WeightsError, verify_checksum

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "ml_backend" / "clickpose_labelstudio" / "demo"


@pytest.fixture(scope="module")
def detector():
    return PersonDetector.load(threads=1)


def sides_logits(cells: int) -> np.ndarray:
    """Logits (cells, 44) of distances that are near certain to be 0."""
    logits = np.zeros((cells, 4, 11))
    logits[..., 0] = 100
    return logits.reshape(cells, 44)


def test_a_box_is_the_cell_centre_and_the_expected_distances():
    scores, logits = np.zeros(6), sides_logits(6).reshape(6, 4, 11)
    scores[4] = 0.9  # grid of 2 rows x 3 columns: row 1, column 1
    left, top, right, bottom = logits[4]
    left[:], left[3] = 0, 100  # certain: 3 cells
    top[:], top[[1, 2]] = -100, 5  # 1 or 2 with equal probability: 1.5 cells
    right[:] = 7  # uniform over 0..10: 5 cells
    bottom[:], bottom[10] = 0, 100
    boxes, kept = decode_level(scores, logits.reshape(6, 44), 16, (32, 48), score_threshold=0.5)
    np.testing.assert_allclose(boxes, [[24 - 48, 24 - 24, 24 + 80, 24 + 160]], atol=1e-9)
    np.testing.assert_array_equal(kept, [0.9])


def test_letterbox_is_centred_normalised_bgr_and_undone_exactly():
    image = np.zeros((50, 100, 3), np.uint8)
    image[..., 0] = 255  # red
    letterbox = Letterbox.fit((50, 100), 416)
    assert (letterbox.scaled_hw, letterbox.canvas_hw, letterbox.offset_yx) == ((208, 416), (224, 416), (8, 0))
    canvas = letterbox.apply(image)
    assert canvas.shape == (1, 3, 224, 416) and canvas.dtype == np.float32
    blue, red = -103.53 / 57.375, (255 - 123.675) / 58.395
    np.testing.assert_allclose(canvas[0, :, 100, 200], [blue, -116.28 / 57.12, red], rtol=1e-5)
    np.testing.assert_allclose(
        canvas[0, 2, [7, 8, 215, 216], 0], [-123.675 / 58.395, red, red, -123.675 / 58.395], rtol=1e-5
    )
    np.testing.assert_allclose(
        letterbox.undo(np.array([[0, 8, 416, 216], [41.6, 49.6, 83.2, 500]])), [[0, 0, 100, 50], [10, 10, 20, 50]]
    )


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 3000), (3000, 1), (417, 33)])
def test_any_shape_of_photo_is_answered_with_boxes_inside_it(detector, image_hw):
    image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)
    boxes, scores = detector.detect(image)
    assert boxes.shape == (len(scores), 4)
    assert (boxes >= 0).all() and (boxes <= [*image_hw[::-1], *image_hw[::-1]]).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 5, 3), np.uint8)],
)
def test_other_arrays_are_refused(detector, image):
    with pytest.raises(ValueError, match=r"Expected image of shape \(H, W, 3\), dtype uint8, RGB, got"):
        detector.detect(image)


def test_the_shipped_file_is_the_listed_one():
    verify_checksum(DEFAULT_FILE)


def test_wrong_files_are_refused(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(WeightsError, match=r"Expected the person detector in .*, got no readable file"):
        PersonDetector.load(tmp_path / "missing.onnx").detect(image)
    (tmp_path / "cut.onnx").write_bytes(DEFAULT_FILE.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"Expected the person detector in .*, got no ONNX network"):
        PersonDetector.load(tmp_path / "cut.onnx").detect(image)


@pytest.mark.parametrize(
    ("photo", "people"), [("astronaut.jpg", 1), ("grace-hopper.jpg", 1), ("group-1.jpg", 4), ("group-2.jpg", 4)]
)
def test_the_people_of_the_demo_photos_are_found_and_nobody_else(detector, photo, people):
    boxes, scores = detector.detect(read_image(DEMO / photo))
    assert len(boxes) == people
    assert (np.diff(scores) <= 0).all() and scores[0] <= 1
    overlaps = box_iou(boxes, boxes) - np.eye(len(boxes))
    assert overlaps.max() <= 0.55


def test_limits_are_obeyed():
    image = read_image(DEMO / "group-1.jpg")
    many, scores = PersonDetector.load(threads=1, score_threshold=0.05).detect(image)
    two, best = PersonDetector.load(threads=1, score_threshold=0.05, max_detections=2).detect(image)
    np.testing.assert_allclose(two, many[:2])
    np.testing.assert_allclose(best, scores[:2])
    _, confident = PersonDetector.load(threads=1, score_threshold=0.5).detect(image)
    assert len(confident) == (scores >= 0.5).sum() < len(scores)


def test_slivers_at_the_edge_are_left_out():
    boxes = np.array([[0, 0, 0.9, 50], [0, 0, 50, 0.9], [0, 0, 1, 50], [20, 20, 20, 60]], float)
    kept, _ = PersonDetector(DEFAULT_FILE)._select(boxes, np.array([0.9, 0.8, 0.7, 0.6]))
    np.testing.assert_array_equal(kept, boxes[[2]])


def test_a_mirrored_photo_has_mirrored_people(detector):
    image = read_image(DEMO / "astronaut.jpg")
    straight, mirrored = detector.detect(image)[0][:1], detector.detect(image[:, ::-1])[0][:1]
    back = np.column_stack(
        [image.shape[1] - mirrored[:, 2], mirrored[:, 1], image.shape[1] - mirrored[:, 0], mirrored[:, 3]]
    )
    assert box_iou(straight, back)[0, 0] > 0.85
    assert box_iou(straight, straight[:, [1, 0, 3, 2]])[0, 0] < 0.85, "swapped axes must not pass"


def test_nine_of_ten_people_of_full_resolution_photos_are_among_the_best_twenty_boxes(shared_folder):
    folder = shared_folder / "data" / "coco_fullres"
    detector = PersonDetector.load(threads=1, score_threshold=0.05, max_detections=20)
    dataset = json.loads((folder / "annotations.json").read_text())
    found = total = 0
    for image in dataset["images"][:40]:
        boxes, _ = detector.detect(read_image(folder / "images" / image["file_name"]))
        truth = xywh_to_xyxy([a["bbox"] for a in dataset["annotations"] if a["image_id"] == image["id"]])
        found += (box_iou(truth, boxes).max(axis=1, initial=0) >= 0.5).sum()
        total += len(truth)
    assert found / total > 0.88


def test_export_keeps_person_scores_and_boxes(shared_folder):
    source = shared_folder / "weights" / "nanodet.onnx"
    onnx = pytest.importorskip("onnx", reason="needs the train extra")
    import onnxruntime

    from clickpose.detector_export import export_person_detector

    exported = export_person_detector(onnx.load(source))
    assert exported.graph == onnx.load(DEFAULT_FILE).graph, "the shipped file is what the exporter writes"
    ours = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).normal(size=(1, 3, 416, 416)).astype(np.float32)
    for stride, scores, sides in ((8, "Identity:0", "Identity_3:0"), (32, "Identity_2:0", "Identity_5:0")):
        expected = theirs.run([scores, sides], {"input_1:0": images})
        actual = ours.run([f"scores_{stride}", f"sides_{stride}"], {"image": images})
        np.testing.assert_allclose(actual[0], expected[0][..., :1], atol=1e-5)
        np.testing.assert_allclose(actual[1], expected[1], atol=1e-4)
