"""The plot of AP against clicks: what it draws, read back from the picture's text."""

import re

import pytest

from clickpose.clicks.click_plot import plot_curves


def test_every_curve_is_drawn_with_its_name_and_length(tmp_path):
    path = tmp_path / "curves.svg"
    plot_curves(path, {"theirs + manual": [50.0] * 18, "lite refined": [50.0, 80.0, 90.0]}, "val", most_clicks=8)
    svg = path.read_text()
    markers = re.findall(r"<use [^>]*>", svg)
    colors = [sum(color in use for use in markers) for color in ("#d55e00", "#0072b2")]
    assert colors == [3 + 1, 9 + 1]  # each line's points and its marker in the legend; refined comes first
    assert svg.count("stroke-dasharray: 5") >= 2  # the manual line and its legend entry are dashed


def test_an_unknown_form_of_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        plot_curves(tmp_path / "curves.xyz", {"a": [1.0]}, "val")
