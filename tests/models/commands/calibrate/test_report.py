"""The calibration report: self-contained, escaped, the same every time, with the figures that were measured."""

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from clickpose.commands.calibrate.plots import precision_plot, reliability_plot, score_histograms, sparsification_plot
from clickpose.commands.calibrate.report import PersonPictures, _cut_out, write_report
from clickpose.metrics.bootstrap import Comparison, Interval
from clickpose.metrics.calibration_figures import CalibrationSample, calibration_figures, compare
from clickpose.skeleton import COCO, Skeleton

pytestmark = pytest.mark.slow

PERSONS = 30
SMALL = COCO.subset((0, 5, 6, 9), "four")  # each joint costs a histogram
JOINTS = len(SMALL)


def sample(noise, **change):
    rng = np.random.default_rng(0)
    quality = rng.uniform(0, 1, (PERSONS, JOINTS))
    labelled = np.ones((PERSONS, JOINTS))
    labelled[0] = 0  # nobody labelled this one
    scores = np.clip(quality + np.random.default_rng(1).normal(0, noise, quality.shape), 0, 1)
    instance_oks = np.where(labelled.any(axis=1), quality.mean(axis=1), np.nan)
    fields = {
        "oks": quality, "scores": scores, "visibility": labelled, "instance_oks": instance_oks,
        "instance_scores": scores.mean(axis=1), "image_ids": np.arange(PERSONS) // 2,
    }  # fmt: skip
    return CalibrationSample(**(fields | change))


@pytest.fixture
def before():
    return sample(0.6)


@pytest.fixture
def after():
    return sample(0.05)


@pytest.fixture
def pictures(tmp_path):
    path = tmp_path / "people <b>.png"
    Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save(path)
    truth = np.random.default_rng(2).uniform(20, 180, (PERSONS, JOINTS, 2))
    boxes = np.tile([10.0, 10.0, 190.0, 190.0], (PERSONS, 1))
    return PersonPictures(
        image_paths=[path] * PERSONS,
        images_hw=np.tile([200, 240], (PERSONS, 1)),
        keypoints=truth + 15,
        truth=truth,
        boxes_xyxy=boxes,
    )


def write(tmp_path, before, after, **options):
    options = {"title": "Lite & <co>", "provenance": {"weights": "a<b"}, "resamples": 5, "skeleton": SMALL} | options
    return write_report(tmp_path / "report.html", before, after, **options).read_text(encoding="utf-8")


@pytest.fixture
def without_plots(monkeypatch):
    """For tests of the table: drawing takes most of a report's time."""
    monkeypatch.setattr("clickpose.commands.calibrate.report._plots", lambda *_: [])


def pictures_of(page, kind):
    return [base64.b64decode(data) for data in re.findall(rf'src="data:image/{kind};base64,([^"]+)"', page)]


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(tmp_path, before, after, pictures):
    page = write(tmp_path, before, after, pictures=pictures)
    assert not re.search(r'(src|href)="(?!data:)|@import|url\(', page)
    assert "<script" not in page and "Lite &amp; &lt;co&gt;" in page and "a&lt;b" in page and "people &lt;b&gt;" in page
    assert len(pictures_of(page, r"svg\+xml")) == 4
    assert "29 persons with 116 labelled joints on 15 photos" in page


@pytest.mark.usefixtures("without_plots")
def test_the_table_holds_the_measured_figures_and_says_what_got_better(tmp_path, before, after):
    page = write(tmp_path, before, after)
    figures = compare(before, after, resamples=5)
    rows = dict(re.findall(r"<tr><td>([^<]+?) <small>[^<]*</small></td>(.*?)</tr>", page, re.DOTALL))
    assert list(rows) == list(calibration_figures(before))
    for name, row in rows.items():
        figure = figures[name]
        shown = [float(text) for text in re.findall(r">([+-]?\d\.\d{3}) <", row)]
        assert shown == pytest.approx([figure.before.value, figure.after.value, figure.change.value], abs=6e-4)
    assert 'class="better"' in rows["ECE, joints"] and 'class="better"' in rows["Pearson, joints"]
    assert 'class=""' in rows["AR"] and 'class="worse"' not in page
    back = write(tmp_path, after, before)
    assert 'class="better"' not in back and 'class="worse"' in back


def test_examples_are_the_most_overconfident_first_with_prediction_and_annotation(tmp_path, before, pictures):
    scores, quality = np.zeros(PERSONS), sample(0.0).instance_oks
    scores[[4, 7]] = quality[[4, 7]] + [0.1, 0.9] * (1 - quality[[4, 7]])
    after = sample(0.05, instance_scores=scores)
    page = write(tmp_path, before, after, pictures=pictures)
    shown = re.findall(r"<b>([\d.]+)</b> before, <b>([\d.]+)</b> after; OKS\s+<b>([\d.]+)</b>", page)
    assert [(float(a), float(o)) for _, a, o in shown] == [(round(scores[i], 2), round(quality[i], 2)) for i in (7, 4)]
    first = Image.open(io.BytesIO(pictures_of(page, "jpeg")[0]))
    assert first.size == (524, 260)
    left, right = np.split(np.asarray(first, dtype=float)[:, :520], 2, axis=1)
    assert np.abs(left - right).mean() > 1, "prediction and annotation are drawn, 15 px apart"


def test_a_box_of_any_size_costs_no_more_than_the_photo():
    photo = Image.new("RGB", (240, 200), (90, 0, 0))
    crop, corner, scale = _cut_out(photo, np.array([-1e6, -1e6, 1e6 + 240, 1e6 + 200]))
    assert crop.shape == (260, 260, 3) and corner.tolist() == [120 - 240, 100 - 240]
    assert scale == 260 / 480 and crop[130, 130].tolist() == [90, 0, 0]


def test_perfect_confidences_have_no_examples(tmp_path, before, pictures):
    exact = sample(0.0)
    humble = sample(0.0, instance_scores=np.nan_to_num(exact.instance_oks) * 0.9)
    assert "misleads" not in write(tmp_path, before, humble, pictures=pictures)


def test_the_same_data_give_the_same_page(tmp_path, before, after):
    assert write(tmp_path, before, after) == write(tmp_path, before, after)


@pytest.mark.usefixtures("without_plots")
def test_more_figures_come_first_and_undefined_ones_say_so(tmp_path, before, after):
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    page = write(tmp_path, before, after, figures={"AP, detected boxes": Comparison(nothing, nothing, nothing)})
    assert page.index("AP, detected boxes") < page.index("AP, OKS as score")
    assert page.count("not defined") == 3
    constant = sample(0.1, scores=np.full((PERSONS, JOINTS), 0.5))
    assert write(tmp_path, before, constant).count("not defined") == 4  # two correlations after, and their changes


def test_plots_are_svg_and_differ_with_the_data(before, after):
    groups = {name: (joint,) for joint, name in enumerate(SMALL.names)}
    with_criteria = [
        sample(noise, correct={"PCK.5": before.oks > 0.5, "PCK.1": before.oks > 0.9}) for noise in (0.6, 0.05)
    ]
    for plot in (reliability_plot, sparsification_plot, precision_plot):
        first, second = plot(before, after), plot(after, before)
        assert first.lstrip().startswith("<?xml") and first.rstrip().endswith("</svg>")
        assert first != second
    assert len(sparsification_plot(*with_criteria)) > len(sparsification_plot(before, after))
    assert score_histograms(before, after, groups) != score_histograms(before, after, {"arms": (1, 2)})


def test_one_person_is_enough_for_a_page(tmp_path, before, after):
    page = write(tmp_path, before.take([1]), after.take([1]))
    assert "1 person with 4 labelled joints on 1 photo." in page and "not defined" in page


def test_large_skeletons_are_shown_by_part(tmp_path, before, after):
    names = tuple(f"joint_{i}" for i in range(28))
    parts = {"body": tuple(range(14)), "hands": tuple(range(14, 28))}
    large = Skeleton("large", names, (), (), (0.05,) * 28, parts)

    def seven_times(data):
        fields = {name: np.tile(getattr(data, name), 7) for name in ("oks", "scores", "visibility")}
        return CalibrationSample(**fields, instance_oks=data.instance_oks, instance_scores=data.instance_scores)

    assert "Confidences by part" in write(tmp_path, seven_times(before), seven_times(after), skeleton=large)


def test_what_does_not_fit_is_refused(tmp_path, before, after, pictures):
    with pytest.raises(ValueError, match="Expected at least one person with a labelled joint"):
        write(tmp_path, before.take([0]), after.take([0]))
    with pytest.raises(ValueError, match=r"Expected 3 joints \(three\), got 4"):
        write(tmp_path, before, after, skeleton=Skeleton("three", ("a", "b", "c"), (), (), (0.1,) * 3))
    with pytest.raises(ValueError, match="Expected the same persons"):
        write(tmp_path, before, after.take(np.arange(5)))
    with pytest.raises(ValueError, match=r"Expected the same criteria, got \['PCK'\] and \[\]"):
        write(tmp_path, sample(0.1, correct={"PCK": before.oks}), after)
    with pytest.raises(ValueError, match=r"Expected pictures of \(5, 4\) persons"):
        write(tmp_path, before.take(np.arange(5)), after.take(np.arange(5)), pictures=pictures)


def test_without_matplotlib_it_says_what_to_install(tmp_path, before, after, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r'Expected matplotlib to be installed: pip install "clickpose\[plots\]"'):
        write(tmp_path, before, after)
