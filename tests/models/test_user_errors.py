"""What a user reads of the library's errors."""

import pytest

from clickpose.user_errors import as_options


@pytest.mark.parametrize(
    ("sentence", "spelled"),
    [
        ("Expected `per_joint` for a curve, got `save_to`", "Expected --per-joint for a curve, got --save-to"),
        ("Expected a `calibrator` and a `report`", "Expected a CALIBRATOR and a --report"),
        ("run `git lfs pull` to fetch the file", "run `git lfs pull` to fetch the file"),  # a command is no argument
        ("press ` and type pose", "press ` and type pose"),
    ],
)
def test_arguments_are_named_as_the_command_line_spells_them(sentence, spelled):
    assert as_options(sentence, ["calibrator"]) == spelled
