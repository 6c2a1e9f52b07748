"""First poses of any top-down network in ONNX, heatmaps or SimCC, that a small YAML file describes.

``onnx:network.yaml`` reads::

    network: rtmpose-m.onnx    # beside this file
    output: simcc              # or heatmap
    skeleton: coco             # a name, a skeleton file, or a skeleton written here
    # what follows may be left out
    input: [256, 192]          # height, width; by default what the network says
    mean: [123.675, 116.28, 103.53]   # of the colours in 0..255; ImageNet's, as here
    std: [58.395, 57.12, 57.375]
    colours: RGB               # or BGR
    padding: 1.25              # how much larger than the person's box the crop is
    split: 2.0                 # bins in a pixel, of SimCC
    refine: quarter            # or dark, none: within a cell of a heatmap
    udp: false                 # unbiased data processing: cells and pixels meet at their ends
    outputs: [simcc_x, simcc_y]       # names, where the network has more
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clickpose.checks import described
from clickpose.first_pose.network import FirstPoseError, FirstPoses, PosesInBoxes
from clickpose.first_pose.top_down import BoxCrop, read_heatmaps, read_simcc
from clickpose.onnx_session import open_session
from clickpose.skeleton import Skeleton
from clickpose.skeleton_io import SKELETONS, load_skeleton, skeleton_from_dict
from clickpose.text_file import read_text
from clickpose.weights_io import fingerprint

_REQUIRED = ("network", "output", "skeleton")
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class TopDownDescription:
    """A top-down network as its file describes it; see the module docstring."""

    network: Path
    output: str
    skeleton: Skeleton
    input: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    colours: str = "RGB"
    padding: float = 1.25
    split: float = 2.0
    refine: str = "quarter"
    udp: bool = False
    outputs: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> TopDownDescription:
        """Read a YAML file.

        Raises:
            FirstPoseError: if it is none; names the entry.
        """
        import yaml

        try:
            document = yaml.safe_load(read_text(path))
            if not isinstance(document, Mapping):
                raise ValueError(f"Expected a mapping with {', '.join(_REQUIRED)}, got {described(document)}")
            return cls._of(document, path.parent)
        except (yaml.YAMLError, ValueError, TypeError, OSError) as error:
            raise FirstPoseError(f"Cannot use the description {path}: {error}") from None

    @classmethod
    def _of(cls, document: Mapping[str, Any], folder: Path) -> TopDownDescription:
        if missing := [entry for entry in _REQUIRED if document.get(entry) is None]:
            raise ValueError(f"Expected the entries {', '.join(_REQUIRED)}, got none for {', '.join(missing)}")
        known = list(cls.__dataclass_fields__)
        if unknown := [str(entry) for entry in document if entry not in known]:
            raise ValueError(f"Expected entries among {', '.join(known)}, got {', '.join(unknown)}")
        given = {**document, "network": folder / str(document["network"])}
        given["skeleton"] = _skeleton_of(document["skeleton"], folder)
        for entry, count in (("mean", 3), ("std", 3), ("input", 2)):
            if given.get(entry) is not None:
                given[entry] = _numbers(entry, given[entry], count)
        if given.get("input") is not None:
            given["input"] = tuple(int(side) for side in given["input"])
        for entry in ("padding", "split"):
            if entry in given:
                (given[entry],) = _numbers(entry, [given[entry]], 1)
        if "outputs" in given:
            given["outputs"] = tuple(map(str, given["outputs"]))
        found = cls(**given)
        _one_of("output", found.output, ("heatmap", "simcc"))
        _one_of("colours", found.colours, ("RGB", "BGR"))
        _one_of("refine", found.refine, ("quarter", "dark", "none"))
        return found


class TopDownOnnx(PosesInBoxes):
    """A described network.

    Args:
        description: of it.
        threads: of ONNX Runtime; None for its own choice.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        FirstPoseError: if the file is no such network.
    """

    def __init__(self, description: TopDownDescription, threads: int | None = None, device: str = "cpu"):
        self.description, self.skeleton = description, description.skeleton
        self.name = description.network.stem
        if not description.network.is_file():
            raise FirstPoseError(f"Expected an ONNX network at {description.network}, found no such file")
        self.fingerprint = fingerprint(description.network)
        self._session = open_session(description.network, "a top-down pose network", threads, device)
        self._input = self._session.get_inputs()[0]
        shape = list(self._input.shape)
        told = description.input or tuple(side for side in shape[2:] if isinstance(side, int))
        if len(shape) != 4 or len(told) != 2:
            raise FirstPoseError(f"Expected an input of 4 axes and known sides in {description.network}, got {shape}")
        self._input_hw = (int(told[0]), int(told[1]))
        self._batch = _BATCH if not isinstance(shape[0], int) else shape[0]
        names = [output.name for output in self._session.get_outputs()]
        count = 2 if description.output == "simcc" else 1
        self._outputs = list(description.outputs) or names[:count]
        if len(self._outputs) != count or not set(self._outputs) <= set(names):
            raise FirstPoseError(f"Expected {count} outputs of {description.network}, got {', '.join(names)}")

    def pose(self, image: np.ndarray, boxes_xyxy: np.ndarray) -> FirstPoses:
        """See :meth:`FirstPoseNetwork.pose`."""
        photo, described_ = Image.fromarray(np.asarray(image)), self.description
        crops = [BoxCrop.around(box, self._input_hw, described_.padding, described_.udp) for box in boxes_xyxy]
        found = [self._read(photo, crops[start : start + self._batch]) for start in range(0, len(crops), self._batch)]
        joints = len(self.skeleton)
        points = np.reshape([rows for places, _ in found for rows in places], (-1, joints, 2))
        scores = np.reshape([rows for _, values in found for rows in values], (-1, joints))
        keypoints = [crop.to_photo(rows) for crop, rows in zip(crops, points, strict=True)]
        return FirstPoses(skeleton=self.skeleton, keypoints=np.reshape(keypoints, (-1, joints, 2)), scores=scores)

    def _read(self, photo: Image.Image, crops: list[BoxCrop]) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, K, 2) positions in the input and (n, K) scores of some crops."""
        images = np.stack([crop.cut(photo) for crop in crops]).astype(np.float32)
        if self.description.colours == "BGR":
            images = images[..., ::-1]
        mean, std = (np.array(three, np.float32) for three in (self.description.mean, self.description.std))
        images = (images - mean) / std
        missing = self._batch - len(crops) if isinstance(self._input.shape[0], int) else 0
        images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.float32)]).transpose(0, 3, 1, 2)
        values = self._session.run(self._outputs, {self._input.name: np.ascontiguousarray(images)})
        values = [value[: len(crops)] for value in values]
        if values[0].shape[1] != len(self.skeleton):
            raise FirstPoseError(
                f"Expected the {len(self.skeleton)} joints of {self.skeleton.name} of {self.name}, "
                f"got {values[0].shape[1]}"
            )
        if self.description.output == "simcc":
            return read_simcc(values[0], values[1], self.description.split)
        return read_heatmaps(values[0], self._input_hw, self.description.refine, self.description.udp)


def _skeleton_of(said: object, folder: Path) -> Skeleton:
    if isinstance(said, Mapping):
        return skeleton_from_dict(said)
    return load_skeleton(str(said) if str(said) in SKELETONS else folder / str(said))


def _numbers(entry: str, value: object, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all() or (entry not in ("mean",) and min(numbers) <= 0):
        raise ValueError(f"Expected {count} numbers as {entry}, got {value!r}")
    return numbers


def _one_of(entry: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"Expected {entry} to be one of {', '.join(known)}, got {value!r}")


def load(what: str, *, device: str, threads: int | None) -> TopDownOnnx:
    """Open the network that a YAML file describes; see the module docstring."""
    return TopDownOnnx(TopDownDescription.read(Path(what)), threads, device)
