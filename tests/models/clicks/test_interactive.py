"""Simulated clicks image by image: hand-made people, a network that is known, figures that can be worked out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose.clicks.click_protocol import ClickProtocol
from clickpose.clicks.interactive import (
    correct_by_hand,
    evaluate_poses,
    evaluate_predictor,
    match_people,
    shared_joints,
)
from clickpose.data.records import ImageRecord, PersonRecord, PoseDataset
from clickpose.frames import CropFrame
from clickpose.predictor import EncodedRegion, PosePredictor, place_clicks
from clickpose.skeleton import COCO
from clickpose.skeleton_io import SKELETONS
from clickpose.structures import Clicks, Pose, Poses
from helpers import tiny_r50

AREA = 10_000.0
SCALES = 2 * COCO.sigma_array * AREA**0.5  # px at which a joint's OKS term is e^-1/2


class ShiftedPredictor(PosePredictor):
    """Knows the people, predicts each shifted by ``shift`` px, and moves the free joints as the clicked ones moved."""

    name, skeleton, fingerprint = "shifted", COCO, "0"

    def __init__(self, dataset: PoseDataset, shift: float, missed: tuple[int, ...] = (), ghosts: int = 0):
        self.people, self.shift, self.missed, self.ghosts = dataset.persons, shift, missed, ghosts
        self.images_set = 0

    def set_image(self, image):
        super().set_image(image)
        self.images_set += 1

    def detect(self, image):
        here = [p for i, p in enumerate(self.people) if i not in self.missed and p.image_id == int(image[0, 0, 0])]
        boxes = [p.box_xyxy + 2.0 for p in here] + [
            [400.0 + 50 * i, 400, 440 + 50 * i, 440] for i in range(self.ghosts)
        ]
        return np.reshape(boxes, (-1, 4)), np.linspace(1, 0.5, len(boxes))

    def encode(self, image, boxes_xyxy):
        return [
            EncodedRegion(frame=CropFrame.around_box(box, 64), prompt_box_xyxy=box, features={})
            for box in np.reshape(boxes_xyxy, (-1, 4))
        ]

    def decode(self, regions, boxes_xyxy=None):
        poses = []
        for region in regions:
            near = [p for p in self.people if np.abs(p.box_xyxy - region.prompt_box_xyxy).max() < 5]
            keypoints = (
                near[0].keypoints + np.array([self.shift, 0])
                if near
                else np.tile(region.prompt_box_xyxy[:2] + 5, (17, 1))
            )
            scores = np.linspace(0.5, 0.66, 17) if near else np.full(17, 0.1)
            poses.append(
                Pose(
                    skeleton=COCO,
                    keypoints=keypoints,
                    box_xyxy=region.prompt_box_xyxy,
                    keypoint_scores=scores,
                    visibility_scores=np.ones(17),
                    instance_score=float(scores.mean()),
                )
            )
        return Poses.stack(COCO, poses)

    def covers(self, region, pose):
        return True

    def refine_region(self, region, pose, clicks):
        moved = (clicks.positions - pose.keypoints)[clicks.mask].mean(axis=0) / 2  # half of the way
        shifted = np.where((pose.fixed | clicks.mask)[:, None], pose.keypoints, pose.keypoints + moved)
        return place_clicks(replace(pose, keypoints=shifted), clicks)


def make_person(image_id: int, number: int, labelled: int = 17, left: float = 20.0) -> PersonRecord:
    rng = np.random.default_rng(number)
    keypoints = rng.uniform([left, 20], [left + 80, 180], (17, 2))
    visibility = np.where(np.arange(17) < labelled, 2, 0)
    box = np.array([left, 20.0, left + 80, 180])
    return PersonRecord(
        annotation_id=number,
        image_path=Path("unread"),
        image_hw=(480, 640),
        keypoints=keypoints,
        visibility=visibility,
        box_xyxy=box,
        area=AREA,
        visibility_known=True,
        image_id=image_id,
    )


@pytest.fixture
def dataset(tmp_path):
    """Two photos with two people and one, the last photo empty; the photo's id is the colour of its pixels."""
    images = []
    for image_id in (1, 2, 3):
        Image.new("RGB", (640, 480), (image_id, 0, 0)).save(tmp_path / f"{image_id}.png")
        images.append(ImageRecord(image_id, tmp_path / f"{image_id}.png", (480, 640)))
    # the file's order is not that of the photos
    people = [make_person(2, 0, labelled=3, left=320.0), make_person(1, 1), make_person(1, 2, left=220.0)]
    return PoseDataset(name="made", skeleton=COCO, images=images, persons=people)


def test_a_click_moves_one_joint_by_hand_and_the_rest_with_a_network(dataset):
    found = evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, ClickProtocol(clicks=17))
    manual, refined = found["manual"], found["refined"]
    assert manual.persons.tolist() == [1, 2, 0] and manual.image_ids == [1, 1, 2]
    terms = np.exp(-0.5 * (12.0 / SCALES) ** 2)
    curve = manual.person_curve().oks
    np.testing.assert_allclose(curve[0, 0], terms.mean())
    np.testing.assert_allclose(curve[0, 1], (terms.sum() - terms.min() + 1) / 17)  # the worst joint is right
    np.testing.assert_allclose(
        curve[2, :4], [terms[:3].mean(), *((np.sort(terms[:3])[n:].sum() + n) / 3 for n in (1, 2, 3))]
    )
    np.testing.assert_allclose(curve[:, 17], 1.0)
    np.testing.assert_allclose(
        refined.person_curve().oks[0, 1], (np.exp(-0.5 * (6.0 / SCALES[np.arange(17) != 1]) ** 2).sum() + 1) / 17
    )
    assert (refined.person_curve().oks[:, 1:] >= curve[:, 1:] - 1e-9).all()
    assert refined.image_clicks([0.9])[0.9] < manual.image_clicks([0.9])[0.9]


def test_average_precision_is_cocos_over_images_with_people(dataset):
    manual = evaluate_predictor(ShiftedPredictor(dataset, 0.0), dataset, ClickProtocol(clicks=1))["manual"]
    assert manual.average_precision(0) == pytest.approx(100) and manual.image_clicks([0.95]) == {0.95: 0.0}
    one_photo = evaluate_predictor(ShiftedPredictor(dataset, 500.0), dataset, ClickProtocol(clicks=17))["manual"]
    assert one_photo.average_precision(0) == 0
    # the person with three labelled joints is right after three clicks; its photo is one of two
    assert one_photo.average_precision(17) == pytest.approx(100)
    assert one_photo.average_precision(3, image_ids=[2]) == pytest.approx(100)
    rounds = one_photo.image_clicks([0.95], cap=17)[0.95]
    assert rounds == (3 + 17) / 2
    assert one_photo.image_clicks([0.95], cap=10)[0.95] == (3 + 10) / 2


def test_missed_people_are_counted_apart_and_get_no_click(dataset):
    predictor = ShiftedPredictor(dataset, 0.0, missed=(2,), ghosts=1)
    found = evaluate_predictor(predictor, dataset, ClickProtocol(clicks=17), detect=True)["refined"]
    assert found.missed == 1 and predictor.images_set == 3  # COCO's AP counts false people of photos without people
    assert found.persons.tolist() == [1, -1, 0, -1, -1] and found.image_ids == [1, 1, 2, 2, 3]
    assert len(found.person_curve().oks) == 2
    # two of three found, and ghosts have low scores: AP is about two thirds, whatever the clicks
    for clicks in (0, 17):
        assert 60 < found.average_precision(clicks) < 70
    assert found.image_clicks([0.5])[0.5] == 0 and found.image_clicks([0.9])[0.9] == (17 + 0) / 2
    ghost = found.keypoints[:, found.persons < 0]
    np.testing.assert_array_equal(ghost, np.repeat(ghost[:1], 18, axis=0))


@pytest.mark.parametrize("strategy", ["worst", "lowest_score", "random", "farthest"])
@pytest.mark.parametrize("loop", ["progressive", "once"])
def test_all_labelled_joints_get_clicked_once_each(dataset, strategy, loop):
    protocol = ClickProtocol(strategy, clicks=17, loop=loop)
    manual = evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, protocol)["manual"]
    moved = (manual.keypoints[1:] != manual.keypoints[:-1]).any(axis=-1)  # (17, P, K)
    assert (moved.sum(axis=2) == [[1, 1, int(n < 3)] for n in range(17)]).all()
    np.testing.assert_array_equal(moved.any(axis=0), [[True] * 17, [True] * 17, [True] * 3 + [False] * 14])


def test_once_refines_from_the_first_pose_and_progressive_from_the_last(dataset):
    protocol = ClickProtocol(clicks=2)
    progressive = evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, protocol)["refined"]
    once = evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, replace(protocol, loop="once"))["refined"]
    offsets = [np.abs(f.keypoints - dataset.persons[1].keypoints)[:, 0, :, 0] for f in (progressive, once)]
    assert [sorted(set(np.round(o[2], 6)))[-1] for o in offsets] == [3.0, 6.0]  # halved twice; halved once


def test_chance_is_each_person_s_own_and_the_same_again(dataset):
    protocol = ClickProtocol("random", clicks=17, noise_sigmas=0.5)
    first, again = (evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, protocol)["manual"] for _ in range(2))
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    order = (first.keypoints[1:] != first.keypoints[:-1]).any(axis=-1).argmax(axis=2)  # (17, P) clicked joint
    assert order[:, 0].tolist() != order[:, 1].tolist()
    noise = first.keypoints[17, :2] - np.stack([dataset.persons[i].keypoints for i in (1, 2)])
    assert np.abs(noise[0] - noise[1]).min() > 0
    other = evaluate_predictor(ShiftedPredictor(dataset, 12.0), dataset, replace(protocol, seed=1))["manual"]
    assert (other.keypoints[17] != first.keypoints[17]).any(axis=-1)[0].all()


def test_another_skeleton_is_compared_in_the_joints_it_shares(dataset):
    crowdpose = SKELETONS["crowdpose"]
    places = [COCO.match(name) for name in crowdpose.names]
    people = [
        replace(p, keypoints=np.where(np.array(places)[:, None] == None, 7.0, p.keypoints[[i or 0 for i in places]]),  # noqa: E711
                visibility=np.full(14, 2))
        for p in dataset.persons
    ]  # fmt: skip
    reduced, columns = shared_joints(replace(dataset, skeleton=crowdpose, persons=people), COCO)
    assert len(reduced.skeleton) == 12 and [COCO.names[c] for c in columns] == list(reduced.skeleton.names)
    other = replace(dataset, skeleton=crowdpose, persons=people)
    found = evaluate_predictor(ShiftedPredictor(dataset, 0.0), other, ClickProtocol(clicks=1))["refined"]
    assert found.average_precision(0) == pytest.approx(100)
    with pytest.raises(ValueError, match="Expected joints of made among tail, got nose"):
        shared_joints(dataset, replace(COCO.subset([0], "cat"), names=("tail",)))


def test_results_of_any_model_are_matched_by_box_and_corrected_by_hand(dataset):
    people = dataset.persons
    pose = Pose(
        skeleton=COCO,
        keypoints=people[1].keypoints + np.array([12.0, 0]),
        box_xyxy=people[1].box_xyxy,
        keypoint_scores=np.full(17, 0.5),
        visibility_scores=np.ones(17),
        instance_score=0.5,
    )
    row = evaluate_poses(dataset, {1: Poses.stack(COCO, [pose])}, ClickProtocol(clicks=17))
    assert row.persons.tolist() == [1] and row.missed == 2
    terms = np.exp(-0.5 * (12.0 / SCALES) ** 2)
    np.testing.assert_allclose(row.person_curve().oks[0, :2], [terms.mean(), (terms.sum() - terms.min() + 1) / 17])
    assert row.average_precision(17) == pytest.approx(100 * 34 / 101, abs=0.01)  # a third found: recall 0 … .33
    nobody = evaluate_poses(dataset, {}, ClickProtocol(clicks=1))
    assert nobody.missed == 3 and nobody.average_precision(1) == 0 and nobody.person_curve().oks.shape == (0, 2)


def test_a_corrected_joint_counts_as_certain_and_raises_the_score_in_proportion():
    pose = Pose(
        skeleton=COCO,
        keypoints=np.zeros((17, 2)),
        box_xyxy=[0, 0, 9, 9],
        keypoint_scores=np.full(17, 0.5),
        visibility_scores=np.ones(17),
        instance_score=0.4,
    )
    placed = correct_by_hand(pose, Clicks.from_mapping(COCO, {"nose": (3, 4)}))
    assert placed.keypoints[0].tolist() == [3, 4] and placed.keypoint_scores[0] == 1 and placed.fixed.sum() == 1
    assert placed.instance_score == pytest.approx(0.4 * (16 * 0.5 + 1) / (17 * 0.5))


def test_people_are_matched_by_the_largest_overlap_first():
    people = [make_person(1, 0, left=20.0), make_person(1, 1, left=60.0)]
    boxes = np.array([[50.0, 20, 130, 180], [58, 20, 138, 180], [400, 20, 480, 180], [20, 20, 100, 180]])
    assert match_people(boxes, people).tolist() == [-1, 1, -1, 0]
    assert match_people(np.zeros((0, 4)), people).tolist() == [] and match_people(boxes[:1], []).tolist() == [-1]


def test_pckh_counts_the_joints_of_missed_people_as_wrong(dataset):
    mpii = SKELETONS["mpii"]
    joints = np.random.default_rng(0).uniform(50, 150, (3, 16, 2))
    people = [
        replace(p, keypoints=joints[i], visibility=np.full(16, 2), head_size=20.0)
        for i, p in enumerate(dataset.persons)
    ]
    mpii_set = replace(dataset, skeleton=mpii, persons=people)
    pose = Pose(
        skeleton=mpii,
        keypoints=joints[1] + np.where(np.arange(16) < 8, 9.9, 10.1)[:, None] * [1, 0],
        box_xyxy=people[1].box_xyxy,
        keypoint_scores=np.ones(16),
        visibility_scores=np.ones(16),
        instance_score=1.0,
    )
    row = evaluate_poses(mpii_set, {1: Poses.stack(mpii, [pose])}, ClickProtocol(clicks=3))
    # 14 joints count (not pelvis and thorax, both among the first eight); one of three people was found
    assert row.pckh(0) == pytest.approx(100 * 6 / 42)
    # the narrowest sigmas are clicked first: upper neck, head top, and then the pelvis, which was right already
    assert row.pckh(3) == pytest.approx(100 * 8 / 42)


def test_parts_are_evaluated_apart(dataset):
    people = {1: [], 2: []}
    for person in dataset.persons:
        off = np.where(np.isin(np.arange(17), COCO.parts["legs"])[:, None], 300.0, 0.0)
        pose = Pose(
            skeleton=COCO,
            keypoints=person.keypoints + off,
            box_xyxy=person.box_xyxy,
            keypoint_scores=np.ones(17),
            visibility_scores=np.ones(17),
            instance_score=1.0,
        )
        people[person.image_id].append(pose)
    row = evaluate_poses(dataset, {i: Poses.stack(COCO, poses) for i, poses in people.items()}, ClickProtocol(clicks=6))
    first, last = row.part_precision(0), row.part_precision(6)
    assert first["face"] == pytest.approx(100) and first["legs"] == 0 and 0 < first["whole"] < 100
    assert last == pytest.approx({"face": 100, "arms": 100, "legs": 100, "whole": 100})


@pytest.mark.parametrize("detect", [False, True])
def test_the_end_to_end_network_goes_through_the_same_evaluation(dataset, detect):
    from clickpose.r50.predictor import R50Predictor

    predictor = R50Predictor(tiny_r50.tiny_network(), "tiny", min_score=0.0, short_side=96, long_side=160)
    found = evaluate_predictor(predictor, dataset, ClickProtocol(clicks=17), detect)
    refined = found["refined"]
    clicked = refined.persons >= 0
    assert (clicked.all() and refined.missed == 0) if not detect else clicked.sum() == 3 - refined.missed
    curve = refined.person_curve().oks
    np.testing.assert_allclose(curve[:, 17], 1.0)  # every labelled joint was put in place and is held there
    np.testing.assert_allclose(curve[:, 0], found["manual"].person_curve().oks[:, 0])
