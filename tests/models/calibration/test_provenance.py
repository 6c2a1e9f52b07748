"""Whose confidences a calibrator fits: by name, by weights where they are known, by joints; never by default."""

from dataclasses import replace

import pytest

from clickpose.calibration.provenance import CalibratorError, Provenance
from clickpose.skeleton import COCO


@pytest.fixture
def provenance():
    return Provenance.today("hrnet", COCO, "coco_dev, 3 persons", "0123456789ab")


def test_another_model_weights_or_skeleton_is_refused(provenance):
    provenance.check("hrnet", COCO, "0123456789ab")
    provenance.check("hrnet", COCO)  # a results file does not say which weights
    replace(provenance, fingerprint="").check("hrnet", COCO, "ffff")  # nor did the one that it was fitted on
    with pytest.raises(
        CalibratorError, match="Expected confidences of 'hrnet', the model of the calibrator, got 'lite'"
    ):
        provenance.check("lite", COCO, "0123456789ab")
    with pytest.raises(CalibratorError, match=r"Expected weights 0123456789ab of 'hrnet'.* got ffff: fit again"):
        provenance.check("hrnet", COCO, "ffff")
    swapped = replace(COCO, name="mine", names=COCO.names[1::-1] + COCO.names[2:])
    with pytest.raises(
        CalibratorError, match=r"Expected the 17 joints of skeleton 'coco'.* got the 17 joints of 'mine'"
    ):
        provenance.check("hrnet", swapped)


@pytest.mark.parametrize("name", [None, ""])
def test_a_network_that_nobody_named_is_no_network(provenance, name):
    with pytest.raises(CalibratorError, match=r"of 'hrnet'.*a network whose name is not known"):
        provenance.check(name, COCO)
    with pytest.raises(ValueError, match="Expected `name`, of the network that predicted"):
        Provenance.today(name, COCO, "somebody")
    with pytest.raises(ValueError, match="Expected `name`"):
        Provenance.today("  ", COCO, "somebody")


def test_what_is_read_with_weights_from_now_on_must_know_them(provenance):
    """A curve of a results file that says "lite" never becomes the calibration of lite's weights."""
    provenance.check_weights("hrnet", COCO, "0123456789ab")
    named_only = Provenance.today("lite", COCO, "imported poses, 60 persons")
    named_only.check("lite", COCO, "0123456789ab")  # applied on demand, the name is believed
    with pytest.raises(CalibratorError, match=r"weights 0123456789ab of 'lite', got one of results.*calibrate network"):
        named_only.check_weights("lite", COCO, "0123456789ab")
    with pytest.raises(CalibratorError, match="got ffff: fit again"):
        provenance.check_weights("hrnet", COCO, "ffff")
    with pytest.raises(CalibratorError, match="Expected confidences of 'hrnet'"):
        provenance.check_weights("lite", COCO, "0123456789ab")
