"""Results that are kept while nothing changes: those of earlier states go, and so does their memory."""

import gc
import weakref

from clickpose_fiftyone.calibration_report import MOST_POINTS, calibration_report
from clickpose_fiftyone.collector import collector_paused
from clickpose_fiftyone.kept import kept_while_unchanged


class Result:
    """Something large."""


def test_a_result_of_an_earlier_state_is_not_kept(person_dataset):
    dataset, other = person_dataset((1,)), person_dataset((2,))
    function = kept_while_unchanged(lambda samples, name: Result())
    first, elsewhere = function(dataset, "a"), function(other, "a")
    assert function(dataset, "a") is first and function(dataset, "b") is not first
    known, other_known = weakref.ref(first), weakref.ref(elsewhere)
    del first, elsewhere
    sample = dataset.first()
    sample["changed"] = 1
    sample.save()
    function(dataset, "a")
    gc.collect()
    assert known() is None and other_known() is function(other, "a")


def test_a_kept_report_holds_the_points_that_are_drawn(person_dataset):
    dataset = person_dataset((4,) * 40, noise=4.0)
    report = calibration_report(dataset, "pred", "gt")
    labelled = 4 * 40 * 17 * 0.8
    for curve in report.sparsification:
        assert len(curve.removed) == len(curve.errors) == len(curve.oracle) < min(2 * MOST_POINTS, labelled / 2)
        assert curve.errors.base is None  # no view of a whole curve


def test_the_collector_goes_on_after_the_last_one_who_paused_it():
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()  # somebody who wants it so
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
