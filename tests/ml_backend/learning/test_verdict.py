"""Whether a version goes live: by numbers that are given."""

import pytest

from clickpose.metrics.bootstrap import Comparison, Interval
from clickpose_labelstudio.learning.verdict import Bar, judge


def change(before, after, low, high):
    return Comparison(Interval(before, 0, 9), Interval(after, 0, 9), Interval(after - before, low, high))


def figures(clicks=(3.0, 2.5, -0.9, -0.1), precision=(0.5, 0.55, -0.01, 0.1)):
    return {"NoC90": change(*clicks), "AP": change(*precision)}


def test_better_goes_live_and_says_by_how_much():
    verdict = judge(figures(), 40, known=figures((1.5, 1.51, -0.1, 0.1)))
    assert verdict.passed
    assert verdict.reasons[0] == "clicks on held-out persons: 3.00 -> 2.50 (-0.50, 95 % from -0.90 to -0.10)"
    assert verdict.reasons[1].startswith("average precision on held-out persons: 50.00 -> 55.00 (+5.00")
    assert verdict.reasons[2].endswith("+0.7% (at most +1%)")
    assert verdict.as_facts()["figures"]["known"]["NoC90"]["change"] == [0.01, -0.1, 0.1]


@pytest.mark.parametrize(
    ("own", "persons", "known", "agreement", "reason"),
    [
        (None, 4, None, 0.99, "only 4 labelled persons were held out, 10 are needed"),
        (figures(), 9, None, 0.99, "only 9 labelled persons"),
        (figures(clicks=(3.0, 3.01, -0.2, 0.2)), 40, None, 0.99, "clicks on held-out persons: 3.00 -> 3.01"),
        (figures(precision=(0.5, 0.4, -0.2, -0.01)), 40, None, 0.99, "average precision on held-out persons"),
        (figures(), 40, figures((1.5, 1.52, -0.1, 0.1)), None, "clicks on photos of the kind it knew"),
        (figures(), 40, None, 0.89, "agreement with the shipped network"),
    ],
)
def test_worse_or_unknown_does_not(own, persons, known, agreement, reason):
    verdict = judge(own, persons, known=known, agreement=agreement, bar=Bar(worst_known=0.01))
    assert not verdict.passed
    assert reason in verdict.reasons[0]


def test_a_precision_that_may_be_chance_is_not_held_against_it():
    assert judge(figures(precision=(0.5, 0.45, -0.1, 0.02)), 40, agreement=0.95).passed
