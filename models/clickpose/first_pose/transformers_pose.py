"""First poses of ViTPose, and what has its interface, through Hugging Face's transformers (Apache-2.0).

``transformers:usyd-community/vitpose-base-simple`` names a model of the hub, ``transformers:folder`` one that lies on
this machine; ``expert=`` chooses among the experts of ViTPose++ (0: COCO, 5: COCO-WholeBody, …), ``flip=yes`` sees each
person mirrored as well.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from clickpose.boxes import xyxy_to_xywh
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesInBoxes
from clickpose.skeleton import COCO, Skeleton
from clickpose.skeleton_io import SKELETONS, load_skeleton

_BATCH = 8
_BY_COUNT = {17: "coco", 26: "halpe26", 133: "wholebody", 14: "crowdpose", 16: "mpii"}
_OTHER_SIGMA = 0.079  # of a joint that no data set has measured: a shoulder's
_SPELLED = {"l": "left", "r": "right"}


class TransformersPoses(PosesInBoxes):
    """A model of transformers that finds keypoints in boxes.

    Args:
        source: folder, or id on the hub.
        skeleton: its joints; None for those that the model names, or COCO's of a model with 17 without names.
        expert: of a model with several; None for its first.
        flip: whether each person is seen mirrored as well.
        device: torch device.

    Raises:
        FirstPoseError: if there is no such model, or its joints are not known.
    """

    def __init__(
        self,
        source: str,
        skeleton: Skeleton | None = None,
        expert: int | None = None,
        flip: bool = False,
        device: str = "cpu",
    ):
        import transformers

        try:
            config = transformers.AutoConfig.from_pretrained(source)
            named = next(iter(config.architectures or ()), "VitPoseForPoseEstimation")
            self._model = getattr(transformers, named).from_pretrained(source).eval().to(device)
            # the one that needs no torchvision, where a release has two
            processor = getattr(transformers, "VitPoseImageProcessorPil", None) or transformers.VitPoseImageProcessor
            self._processor = processor.from_pretrained(source)
        except (OSError, ValueError, AttributeError, ImportError) as error:
            raise FirstPoseError(f"Cannot use the model {source} of transformers: {error}") from None
        self.name = Path(source).name if Path(source).is_dir() else source.replace("/", "-")
        self.skeleton = skeleton or _skeleton_of(config)
        self.fingerprint = _fingerprint(self._model, config, expert, flip)
        self._device, self._flip = device, flip
        experts = getattr(getattr(config, "backbone_config", None), "num_experts", 1) or 1
        self._expert = (expert or 0) if experts > 1 else None

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`."""
        photo = np.asarray(image)
        people: list[dict[str, Any]] = []
        for start in range(0, len(boxes_xyxy), _BATCH):
            people += self._people(photo, xyxy_to_xywh(np.asarray(boxes_xyxy)[start : start + _BATCH]))
        joints = len(self.skeleton)
        keypoints = np.reshape([person["keypoints"].cpu().numpy() for person in people], (-1, joints, 2))
        scores = np.reshape([person["scores"].cpu().numpy() for person in people], (-1, joints))
        return FirstPoses(skeleton=self.skeleton, keypoints=keypoints, scores=scores)

    def _people(self, photo: np.ndarray, boxes_xywh: np.ndarray) -> list[dict[str, Any]]:
        """Return ``keypoints`` (K, 2) px and ``scores`` (K,) of the people in some boxes."""
        import torch

        boxes = [boxes_xywh.astype(np.float32)]
        inputs = self._processor(photo, boxes=boxes, return_tensors="pt").to(self._device)
        more: dict[str, Any] = {}
        if self._expert is not None:
            more["dataset_index"] = torch.full((len(boxes_xywh),), self._expert, device=self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs, **more)
            if self._flip:
                mirrored = self._model(pixel_values=inputs["pixel_values"].flip(-1), **more)
                order = self.skeleton.flip_indices.tolist()
                outputs.heatmaps = (outputs.heatmaps + mirrored.heatmaps.flip(-1)[:, order]) / 2
        return self._processor.post_process_pose_estimation(outputs, boxes=boxes, threshold=None)[0]


def _skeleton_of(config: Any) -> Skeleton:
    """Return the joints that a configuration names, else those of a known skeleton of as many."""
    labels = {int(index): str(label) for index, label in (config.id2label or {}).items()}
    names = [labels[index] for index in sorted(labels)]
    if not names or any(re.fullmatch(r"LABEL_\d+", name) for name in names):
        count = getattr(config, "num_labels", len(names))
        if count not in _BY_COUNT:
            raise FirstPoseError(f"Expected the names of {count} joints, which the model does not tell: skeleton=...")
        return SKELETONS[_BY_COUNT[count]]
    known = next((SKELETONS[name] for name in SKELETONS if _matches(SKELETONS[name], names)), None)
    if known is not None:
        return known
    places = [COCO.match(_spelled(name)) for name in names]
    sigmas = tuple(_OTHER_SIGMA if place is None else COCO.sigmas[place] for place in places)
    flips = tuple(
        (left, names.index(other))
        for left, name in enumerate(names)
        if (other := re.sub(r"(?i)^l(?=[_ ])", lambda m: "R" if m[0] == "L" else "r", name)) != name and other in names
    )
    edges = tuple((int(a), int(b)) for a, b in getattr(config, "edges", None) or ())
    return Skeleton(getattr(config, "name_or_path", "") or "transformers", tuple(names), edges, flips, sigmas)


def _matches(skeleton: Skeleton, names: list[str]) -> bool:
    return [skeleton.match(_spelled(name)) for name in names] == list(range(len(skeleton)))


def _spelled(name: str) -> str:
    """Spell out the side of a name such as ``L_Eye``."""
    first, _, rest = name.partition("_")
    return f"{_SPELLED.get(first.lower(), first)}_{rest}"


def _fingerprint(model: Any, config: Any, expert: int | None, flip: bool) -> str:
    """Return a short hash of the weights and of what else decides the answers."""
    digest = hashlib.sha256(f"{config.to_json_string()}{expert}{flip}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def load(
    what: str,
    *,
    device: str,
    threads: int | None,
    skeleton: str | None = None,
    expert: str | None = None,
    flip: str = "no",
) -> TransformersPoses:
    """Open a model; see the module docstring. ``skeleton`` names its joints or a skeleton file."""
    if flip not in ("yes", "no"):
        raise FirstPoseError(f"Expected flip to be yes or no, got {flip!r}")
    if expert is not None and not expert.isdecimal():
        raise FirstPoseError(f"Expected expert to be a number, got {expert!r}")
    joints = None if skeleton is None else load_skeleton(skeleton)
    return TransformersPoses(what, joints, None if expert is None else int(expert), flip == "yes", device)
