"""What an annotator has done in one annotation: how many people and clicks, what was seen, how right the scores were.

Label Studio keeps with an annotation the prediction that it began with, and in each region's ``origin`` whether a human
has touched it. A touched joint at another place than predicted was a click; one at its place was looked at and accepted
(Shift+A); an untouched one was either right or followed another, and nobody has said so of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from clickpose.boxes import BODY_SHARE_OF_BOX
from clickpose.metrics.oks import keypoint_oks
from clickpose_labelstudio.codec import DecodedResult, decode_result
from clickpose_labelstudio.grouping import Keypoint, Person
from clickpose_labelstudio.labeling_config import LabelingConfig
from clickpose_labelstudio.region_items import CodecError, person_token

SAME_PLACE_PX = 0.01  # what a database changes of a coordinate
LONGEST_S = 3600.0  # on one annotation; a task that was open overnight says nothing


@dataclass(frozen=True, kw_only=True)
class Work:
    """Counts of one annotation.

    Attributes:
        persons: people with a joint.
        joints: their joints.
        clicks: joints that a human has placed or moved.
        accepted: joints that a human has looked at and left.
        unseen: joints that nobody has touched; ``joints`` is the sum of the three.
        lead_time_s: how long the annotator had it open, None where that is not known.
        version: of the model whose prediction it began with; empty for none.
        checks: of each joint that was predicted and is there: predicted OKS, OKS of the predicted place against the one
            that was submitted, and 1 where a human has touched it, else 0.
    """

    persons: int = 0
    joints: int = 0
    clicks: int = 0
    accepted: int = 0
    unseen: int = 0
    lead_time_s: float | None = None
    version: str = ""
    checks: list[tuple[float, float, int]] = field(default_factory=list)

    def to_json(self) -> str:
        """Return it as a text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Work:
        """Read what :meth:`to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, "checks": [tuple(check) for check in content["checks"]]})


def work_of(annotation: Mapping, config: LabelingConfig) -> Work:
    """Count what an annotation holds; one that was skipped holds nothing but the time it took.

    Args:
        annotation: as a webhook or the list of tasks has it.
        config: the project's labelling configuration.

    Raises:
        CodecError: if its regions cannot be read.
    """
    lead_time_s = _seconds(annotation.get("lead_time"))
    if annotation.get("was_cancelled"):
        return Work(lead_time_s=lead_time_s)
    decoded = decode_result(annotation.get("result") or [], config)
    before = _predicted(annotation.get("prediction"), config, decoded)
    counts = {"clicks": 0, "accepted": 0, "unseen": 0}
    checks: list[tuple[float, float, int]] = []
    people = [person for person in decoded.persons if person.joints]
    for person in people:
        for joint, keypoint in person.joints.items():
            old = before.get((person_token(person.id), joint))
            counts[_what_was_done(keypoint, old)] += 1
            if old is not None and (check := _check(person, joint, keypoint, old, config)) is not None:
                checks.append(check)
    joints = sum(counts.values())
    version = _version(annotation.get("prediction"))
    return Work(
        persons=len(people), joints=joints, lead_time_s=lead_time_s, version=version, checks=checks, **counts
    )  # fmt: skip


def _version(prediction: object) -> str:
    version = prediction.get("model_version") if isinstance(prediction, Mapping) else None
    return version if isinstance(version, str) else ""


def _seconds(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LONGEST_S
    return float(value) if known else None  # type: ignore[arg-type]


def _predicted(prediction: object, config: LabelingConfig, decoded: DecodedResult) -> dict[tuple[str, int], Keypoint]:
    """Return (person, joint) -> keypoint of the prediction that an annotation began with, placed on the same photo."""
    result = prediction.get("result") if isinstance(prediction, Mapping) else None
    if not isinstance(result, list) or not result:
        return {}
    try:
        persons = decode_result(result, config, decoded.image_hw).persons
    except CodecError:  # the labels can be read all the same
        return {}
    return {(person_token(p.id), joint): keypoint for p in persons for joint, keypoint in p.joints.items()}


def _what_was_done(keypoint: Keypoint, old: Keypoint | None) -> str:
    if not keypoint.touched:
        return "unseen"
    moved = old is None or float(np.abs(keypoint.point - old.point).max()) > SAME_PLACE_PX
    return "clicks" if moved else "accepted"


def _check(
    person: Person, joint: int, keypoint: Keypoint, old: Keypoint, config: LabelingConfig
) -> tuple[float, float, int] | None:
    score, box = old.item.get("score"), person.extent()
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1 or box is None:
        return None
    area = BODY_SHARE_OF_BOX * float(np.prod(np.maximum(box[2:] - box[:2], 1.0)))
    sigma = config.skeleton.sigma_array[joint : joint + 1]
    true = float(keypoint_oks(old.point[None], keypoint.point[None], area, sigma)[0])
    return round(float(score), 4), round(true, 4), int(keypoint.touched)
