"""Find persons whose left and right labels are exchanged, by comparing with a confident teacher's prediction.

Leeds Sports Pose Extended has about 5 % of them; trained on, they teach the network that left is right.
"""

from __future__ import annotations

import numpy as np

from clickpose.data.records import PersonRecord
from clickpose.metrics.oks import keypoint_oks
from clickpose.skeleton import Skeleton


def exchanged_labels(
    record: PersonRecord, teacher_keypoints: np.ndarray, skeleton: Skeleton, advantage: float = 0.3
) -> bool:
    """Tell whether some body part fits the teacher clearly better with left and right exchanged.

    Args:
        record: the labelled person.
        teacher_keypoints: (K, 2) px.
        skeleton: joints, parts and mirror pairs.
        advantage: by how much the part's mean OKS must rise.
    """
    flipped = record.keypoints[skeleton.flip_indices]
    labelled = record.labelled & record.labelled[skeleton.flip_indices]
    straight = keypoint_oks(teacher_keypoints, record.keypoints, record.area, skeleton.sigma_array)
    crossed = keypoint_oks(teacher_keypoints, flipped, record.area, skeleton.sigma_array)
    sided = skeleton.flip_indices != np.arange(len(skeleton))
    for joints in skeleton.parts.values():
        chosen = np.isin(np.arange(len(skeleton)), joints) & labelled & sided
        if chosen.sum() >= 4 and (crossed[chosen] - straight[chosen]).mean() > advantage:
            return True
    return False
