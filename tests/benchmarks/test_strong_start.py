"""The starts that benchmarks/strong_start.py simulates: jitter, one gross error, and the annotator who clicks."""

import numpy as np
import pytest
import strong_start

from clickpose.clicks.interactive import correct_by_hand
from clickpose.data.records import PersonRecord


@pytest.fixture
def person(tmp_path):
    rng = np.random.default_rng(0)
    return PersonRecord(
        annotation_id=1, image_path=tmp_path / "1.jpg", image_hw=(400, 400), box_xyxy=np.array([50.0, 50, 250, 350]),
        keypoints=rng.uniform([50, 50], [250, 350], (17, 2)), visibility=np.r_[0, np.full(16, 2)], area=0.53 * 60000,
        visibility_known=True,
    )  # fmt: skip


def test_one_gross_error_the_rest_jitters_and_what_nobody_labelled_is_lites(person):
    own = np.full((17, 2), 7.0)
    counts, right = [], []
    for seed in range(60):
        start, wrong = strong_start.strong_start(person, own, 0.35, np.random.default_rng(seed))
        assert start[0].tolist() == [7, 7] and not wrong[0]
        counts.append(int(wrong.sum()))
        right.append(strong_start.terms_of(start, person)[~wrong & person.labelled])
    assert set(counts) == {1, 4}  # a joint elsewhere, or arms or legs exchanged
    assert np.concatenate(right).mean() == pytest.approx(1 / (1 + 0.35**2), abs=0.01)


def test_by_hand_each_click_puts_the_worst_joint_right(person):
    start = person.keypoints.copy()
    start[[3, 8]] += [[60, 0], [30, 0]]
    rounds, first = strong_start.click_through(start, person, correct_by_hand)
    assert first == 3 and [int((terms[person.labelled] < 0.99).sum()) for terms in rounds] == [2, 1]
    start[9] += 400  # short of the last target with two joints off
    rounds, _ = strong_start.click_through(start, person, correct_by_hand)
    assert [int((terms[person.labelled] < 0.99).sum()) for terms in rounds][:2] == [3, 2]
