"""Several photos together: in order, in groups that suit, nobody's failure another's, and the answers of one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clickpose.image_io import read_image
from clickpose.lite.predictor import LitePredictor
from clickpose.photo_groups import MOST_PHOTOS, MOST_PIXELS, SeenPhoto, everybody, in_groups, look, size_of
from helpers import fakes

DEMO = Path(__file__).resolve().parents[2] / "ml_backend" / "clickpose_labelstudio" / "demo"


def groups_of(sizes, failing=()):
    """Return the groups in which items with (people, pixels) are worked on, and what becomes of each."""
    groups = []

    def see(item):
        if item in failing:
            raise OSError(f"no {item}")
        return item

    def work(items):
        groups.append(list(items))
        if "bad" in items:
            raise ValueError("bad")
        return [f"{item} done" for item in items]

    done = in_groups(see, list(sizes), sizes.__getitem__, work, (OSError, ValueError))
    return groups, [(item, str(result)) for item, result in done]


def test_a_group_ends_before_it_has_too_many_people_pixels_or_photos():
    groups, done = groups_of({"a": (3, 1), "b": (5, 1), "c": (1, 1), "crowd": (50, 1), "d": (8, 1)})
    assert list(groups) == [["a", "b"], ["c"], ["crowd"], ["d"]]
    assert done == [(item, f"{item} done") for item in ("a", "b", "c", "crowd", "d")]
    groups, _ = groups_of({"a": (1, MOST_PIXELS), "b": (1, 1), "huge": (1, 9 * MOST_PIXELS), "c": (0, 5)})
    assert list(groups) == [["a"], ["b"], ["huge"], ["c"]]
    groups, _ = groups_of({number: (0, 0) for number in range(MOST_PHOTOS + 1)})
    assert [len(group) for group in groups] == [MOST_PHOTOS, 1]
    assert groups_of({}) == ([], [])


def test_what_fails_is_its_own_and_the_others_get_their_results():
    groups, done = groups_of({name: (1, 1) for name in ("a", "gone", "bad", "b")}, failing=["gone"])
    assert done == [("a", "a done"), ("gone", "no gone"), ("bad", "bad"), ("b", "b done")]
    assert groups == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]
    with pytest.raises(KeyError):
        list(in_groups(lambda item: {}[item], ["a"], size_of, list, (OSError,)))


def test_people_of_several_photos_are_encoded_in_one_call_where_boxes_are_known():
    predictor = fakes.FakePredictor()
    photos = [look(predictor, fakes.blank_image()) for _ in range(3)]
    assert [size_of(photo) for photo in photos] == [(2, 240 * 320)] * 3
    assert size_of(SeenPhoto(fakes.blank_image(), None)) == (1, 240 * 320)
    for poses in everybody(predictor, photos):
        np.testing.assert_array_equal(poses.keypoints[1], fakes.template(predictor.boxes_xyxy[1]))


@pytest.mark.slow
def test_the_shipped_network_answers_several_photos_as_one_by_one():
    """To a hundred-thousandth of the person's size and of a score; in the same order, with the same people."""
    predictor = LitePredictor.load(threads=1)
    images = [read_image(path) for path in sorted(DEMO.glob("*.jpg"))]
    images.insert(1, np.full((300, 400, 3), 90, np.uint8))  # nobody
    together = everybody(predictor, [look(predictor, image) for image in images])
    apart, places, scores = [], [0.0], [0.0]
    for image, poses in zip(images, together, strict=True):
        predictor.set_image(image)
        alone = predictor.predict()
        apart.append(alone)
        assert len(alone) == len(poses)
        for one, other in zip(alone, poses, strict=True):
            size = np.ptp(one.box_xyxy.reshape(2, 2), axis=0).max()
            places += [np.abs(one.keypoints - other.keypoints).max() / size]
            places += [np.abs(one.box_xyxy - other.box_xyxy).max() / size]
            scores += [np.abs(one.keypoint_scores - other.keypoint_scores).max()]
            scores += [np.abs(one.visibility_scores - other.visibility_scores).max()]
    print(f"at most {max(places):.1e} of a person's size and {max(scores):.1e} of a score apart")
    assert sum(map(len, apart)) >= 9 and len(apart[1]) == 0
    assert max(places) < 1e-5 and max(scores) < 1e-4
