"""What every network shares: which region serves a person, when one is encoded anew, what an image remembers."""

from dataclasses import replace

import numpy as np
import pytest

from clickpose.frames import CropFrame, ImageFrame
from clickpose.predictor import (
    EncodedRegion,
    PosePredictor,
    best_region,
    place_clicks,
    prompt_box,
    refine_among,
    visible_boxes,
)
from clickpose.skeleton import COCO
from clickpose.structures import Clicks, Pose, Poses

IMAGE_HW = (400, 600)
LEFT_WRIST = COCO.index("left_wrist")


class CropNetwork(PosePredictor):
    """Encodes a square around each box; a pose lies in the middle of its box; a refinement moves free joints by 1 px.

    Counts what it encodes, and remembers the region of the last refinement.
    """

    name, skeleton, fingerprint = "crops", COCO, "0"

    def __init__(self):
        self.encoded, self.refined_in = [], None

    def detect(self, image):
        return np.array([[100.0, 100, 200, 300], [300, 100, 400, 300]]), np.array([0.9, 0.8])

    def encode(self, image, boxes_xyxy):
        self.encoded += [box.tolist() for box in boxes_xyxy]
        return [crop_region(box) for box in boxes_xyxy]

    def decode(self, regions, boxes_xyxy=None):
        return Poses.stack(self.skeleton, [pose_in(region.prompt_box_xyxy) for region in regions])

    def covers(self, region, pose):
        return region.frame.contains(pose.keypoints[pose.fixed])

    def refine_region(self, region, pose, clicks):
        self.refined_in = region
        placed = place_clicks(pose, clicks)
        return replace(placed, keypoints=np.where(placed.fixed[:, None], placed.keypoints, placed.keypoints + 1))


class ImageNetwork(CropNetwork):
    """Encodes the whole image once, for everybody; two people when it decodes."""

    def detect(self, image):
        return None

    def encode(self, image, boxes_xyxy):
        self.encoded.append(boxes_xyxy)
        return [whole_region()] * (1 if boxes_xyxy is None else len(boxes_xyxy))

    def decode(self, regions, boxes_xyxy=None):
        boxes = [[0, 0, 90, 90], [100, 100, 200, 300]] if boxes_xyxy is None else boxes_xyxy
        assert len(regions) == (1 if boxes_xyxy is None else len(boxes_xyxy))
        return Poses.stack(self.skeleton, [pose_in(box) for box in boxes])

    def covers(self, region, pose):
        return True


def crop_region(box) -> EncodedRegion:
    box = np.asarray(box, dtype=float)
    return EncodedRegion(frame=CropFrame.around_box(box, 256), prompt_box_xyxy=box, features={})


def whole_region() -> EncodedRegion:
    return EncodedRegion(frame=ImageFrame(*IMAGE_HW), prompt_box_xyxy=None, features={})


def pose_in(box) -> Pose:
    box = np.asarray(box, dtype=float)
    return Pose.from_keypoints(COCO, np.tile((box[:2] + box[2:]) / 2, (17, 1)), box)


def clicks_at(position, joint=LEFT_WRIST) -> Clicks:
    return Clicks.from_mapping(COCO, {COCO.names[joint]: position})


@pytest.fixture
def network() -> CropNetwork:
    return CropNetwork()


def test_the_region_of_a_person_is_the_one_of_largest_overlap(network):
    regions = [crop_region([100, 100, 190, 300]), crop_region([100, 100, 200, 300]), crop_region([120, 100, 220, 300])]
    assert best_region(network, regions, pose_in([101, 100, 201, 300])) is regions[1]
    assert best_region(network, regions, pose_in([119, 100, 219, 300])) is regions[2]
    assert best_region(network, [], pose_in([100, 100, 200, 300])) is None


@pytest.mark.parametrize(("left", "served"), [(150, True), (153, True), (154, False), (190, False)])
def test_a_neighbours_region_does_not_serve_a_person(network, left, served):
    """A box of 100 px beside one: IoU 1/3 at 50 px, 47/153 = .307 at 53 px, 46/154 = .299 at 54 px."""
    neighbour = crop_region([100, 100, 200, 300])
    pose = pose_in([left, 100, left + 100, 300])
    assert network.covers(neighbour, pose)
    assert (best_region(network, [neighbour], pose) is neighbour) == served


def test_a_region_of_the_whole_image_serves_everybody(network):
    near, whole = crop_region([100, 100, 200, 300]), whole_region()
    network.covers = lambda region, pose: True
    assert best_region(network, [near, whole], pose_in([100, 100, 200, 300])) is whole
    assert best_region(network, [whole, near], pose_in([500, 300, 600, 400])) is whole


def test_a_region_that_does_not_hold_every_placed_joint_does_not_serve(network):
    region = crop_region([100, 100, 200, 300])
    pose = pose_in([100, 100, 200, 300])
    far = place_clicks(pose, clicks_at((290.0, 200.0)))
    assert best_region(network, [region], pose) is region
    assert best_region(network, [region], far) is None


def test_a_refinement_encodes_only_what_is_not_at_hand(network):
    regions, asked = [crop_region([100, 100, 200, 300])], []

    def encode(boxes):
        asked.append(boxes.tolist())
        return network.encode(None, boxes)

    pose = pose_in([100, 100, 200, 300])
    refined = refine_among(network, regions, pose, clicks_at((120.0, 150.0)), encode)
    assert asked == [] and network.refined_in is regions[0]
    assert refined.keypoints[LEFT_WRIST].tolist() == [120, 150] and refined.fixed.sum() == 1
    np.testing.assert_array_equal(np.delete(refined.keypoints, LEFT_WRIST, 0), np.full((16, 2), [151, 201]))
    # out of reach of the region: the new one is asked for by the person's box, grown to hold the click
    refined = refine_among(network, regions, refined, clicks_at((290.0, 90.0), joint=0), encode)
    assert asked == [[[100, 90, 290, 300]]] and network.refined_in.prompt_box_xyxy.tolist() == asked[0][0]
    assert refined.keypoints[[0, LEFT_WRIST]].tolist() == [[290, 90], [120, 150]]


def test_an_image_remembers_what_was_encoded_until_the_next_one(network):
    network.set_image(np.zeros((*IMAGE_HW, 3), np.uint8))
    first, second = network.predict()
    assert len(network.encoded) == 2
    network.refine(second, {"nose": (330.0, 120.0)})
    assert network.refined_in.prompt_box_xyxy.tolist() == [300, 100, 400, 300] and len(network.encoded) == 2
    far = network.refine(first, {"nose": (20.0, 120.0)})
    assert network.encoded[2:] == [[20, 100, 200, 300]]
    network.refine(far, {"left_ear": (30.0, 120.0)})
    assert len(network.encoded) == 3
    network.set_image(np.zeros((*IMAGE_HW, 3), np.uint8))
    network.refine(first, {"nose": (120.0, 120.0)})
    assert network.encoded[3:] == [[100, 100, 200, 300]]


def test_a_network_of_whole_images_encodes_one_once_whatever_is_asked_of_it():
    network = ImageNetwork()
    network.set_image(np.zeros((*IMAGE_HW, 3), np.uint8))
    everybody = network.predict()
    assert everybody.boxes_xyxy.tolist() == [[0, 0, 90, 90], [100, 100, 200, 300]]
    own = np.array([[300.0, 100, 400, 300], [410, 100, 500, 300], [5, 5, 9, 9]])
    assert network.predict(own).boxes_xyxy.tolist() == own.tolist()
    both = network.predict(own[:1], find_others=True)
    assert both.boxes_xyxy.tolist() == [own[0].tolist(), *everybody.boxes_xyxy.tolist()]
    refined = network.refine(everybody[0], {"nose": (590.0, 390.0)})
    assert refined.keypoints[0].tolist() == [590, 390] and network.refined_in.prompt_box_xyxy is None
    assert len(network.encoded) == 1
    network.set_image(np.zeros((*IMAGE_HW, 3), np.uint8))
    assert len(network.predict(own)) == 3 and len(network.predict(own[:2])) == 2
    assert len(network.encoded) == 2
    with pytest.raises(ValueError, match=r"Expected one Pose, such as poses\[0\] of what predict returns, got Poses"):
        network.refine(everybody, {"nose": (590.0, 390.0)})


@pytest.mark.parametrize("region", [crop_region([100, 100, 200, 300]), whole_region()])
def test_an_encoded_region_comes_back_from_its_bytes(region):
    region = replace(region, features={"memory": np.arange(6, dtype=np.float16).reshape(2, 3), "level_hw": np.eye(2)})
    back = EncodedRegion.from_bytes(region.to_bytes())
    assert back.frame == region.frame and type(back.frame) is type(region.frame)
    assert isinstance(back.frame, ImageFrame) or isinstance(back.frame.input_side, int)
    np.testing.assert_array_equal(back.prompt_box_xyxy, region.prompt_box_xyxy)
    assert back.features.keys() == region.features.keys()
    for name, array in region.features.items():
        assert back.features[name].dtype == array.dtype and back.features[name].tolist() == array.tolist()


@pytest.mark.parametrize(("frame", "prompt"), [((9.0, 8.0), (1.0, 2, 3, 4)), ((1.0, 2, 3, 4), ()), ((1.0, 2, 3), ())])
def test_bytes_of_another_kind_are_refused(frame, prompt):
    from safetensors.numpy import save

    numbers = f"got {len(frame)} and {len(prompt)} numbers"
    with pytest.raises(ValueError, match=f"Expected a frame of an encoded region, {numbers}"):
        EncodedRegion.from_bytes(save({"frame": np.array(frame), "prompt": np.array(prompt, float)}))
    with pytest.raises(ValueError, match="Expected an encoded region of"):
        EncodedRegion.from_bytes(save({"frame": np.array(frame)}))


def test_the_box_to_encode_holds_the_placed_joints_alone():
    pose = replace(pose_in([100, 100, 200, 300]), keypoints=np.tile([500.0, 50.0], (17, 1)))
    assert prompt_box(pose).tolist() == [100, 100, 200, 300]
    assert prompt_box(place_clicks(pose, clicks_at((90.0, 310.0)))).tolist() == [90, 100, 200, 310]


def test_clicks_are_placed_and_stay_fixed():
    once = place_clicks(pose_in([100, 100, 200, 300]), clicks_at((1.0, 2.0), joint=3))
    twice = place_clicks(once, clicks_at((5.0, 6.0), joint=4))
    assert np.flatnonzero(twice.fixed).tolist() == [3, 4]
    assert twice.keypoints[[3, 4, 5]].tolist() == [[1, 2], [5, 6], [150, 200]]


def test_the_part_of_a_box_inside_the_image():
    boxes = visible_boxes(np.array([[-10, 5, 50, 500], [20, 30, 40, 50]]), IMAGE_HW)
    assert boxes.tolist() == [[0, 5, 50, 400], [20, 30, 40, 50]]
    assert visible_boxes(np.array([[599, 0, 700, 1]]), IMAGE_HW).tolist() == [[599, 0, 600, 1]]
    assert visible_boxes(np.array([[3, 5, 4, 6]]), IMAGE_HW).tolist() == [[3, 5, 4, 6]]  # one pixel is enough
    for box in ([599.5, 0, 700, 50], [0, 0, 50, 0.9], [610, 0, 700, 50], [np.nan, 0, 9, 9], [0, 0, np.inf, 9]):
        with pytest.raises(ValueError, match="image of height 400 and width 600"):
            visible_boxes(np.array([[0, 0, 10, 10], box]), IMAGE_HW)
