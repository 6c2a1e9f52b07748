"""Our networks as FiftyOne models: ``dataset.apply_model(PoseModel("lite"), label_field="pred")``."""

from __future__ import annotations

from collections.abc import Iterable

import fiftyone as fo
import fiftyone.core.models as fom
import numpy as np

import clickpose
from clickpose.named_image import named_image
from clickpose.predictor import PosePredictor
from clickpose_fiftyone.conversion import detection_boxes, instance_of, poses_to_labels
from clickpose_fiftyone.field_names import PREDICTED_BY
from clickpose_fiftyone.provenance import FieldNetwork


class PoseModel(fom.Model, fom.SamplesMixin):
    """A pose network for ``apply_model``; finds the people itself, or takes boxes as prompts.

    Args:
        model: name for :func:`clickpose.load`, or a predictor.
        min_score: leave out people with a lower predicted OKS.
        load_options: for :func:`clickpose.load`, such as ``checkpoint``, ``device``, or ``first`` to start from another
            network's poses.

    Example:
        >>> dataset.apply_model(PoseModel("lite"), label_field="pred")                               # doctest: +SKIP
        >>> dataset.apply_model(PoseModel("lite"), label_field="pred", prompt_field="boxes")         # doctest: +SKIP
    """

    def __init__(self, model: str | PosePredictor = "lite", min_score: float = 0.0, **load_options):
        fom.SamplesMixin.__init__(self)
        self.predictor = clickpose.load(model, **load_options) if isinstance(model, str) else model
        self.min_score = min_score
        self._preprocess = True
        checkpoint = load_options.get("checkpoint")
        network = FieldNetwork.of(self.predictor, None if checkpoint is None else str(checkpoint))
        self._network = network.to_text()

    @property
    def media_type(self) -> str:
        """Photos only."""
        return "image"

    @property
    def has_logits(self) -> bool:
        """Scores are calibrated already."""
        return False

    @property
    def has_embeddings(self) -> bool:
        """No embeddings."""
        return False

    @property
    def ragged_batches(self) -> bool:
        """Photos of a batch may differ in size: every person is cut out by itself."""
        return False

    @property
    def transforms(self):
        """None: the network cuts out and scales the persons itself."""
        return None

    @property
    def preprocess(self) -> bool:
        """Photos are taken as they are."""
        return self._preprocess

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        self._preprocess = value

    @property
    def skeleton(self) -> fo.KeypointSkeleton:
        """Joints and bones, for ``dataset.skeletons[label_field]``."""
        skeleton = self.predictor.skeleton
        return fo.KeypointSkeleton(labels=list(skeleton.names), edges=[list(edge) for edge in skeleton.edges])

    def predict(self, arg: np.ndarray, sample: fo.Sample | None = None) -> fo.Keypoints:
        """Predict the people of one photo.

        Args:
            arg: (H, W, 3) uint8 RGB; grey and RGBA photos are converted.
            sample: its sample, with the prompt boxes where ``prompt_field`` was given.
        """
        image = _as_rgb(arg)
        name = "" if sample is None else sample.filepath
        return self._predict_one(named_image(image, name), self._prompt(sample))

    def predict_all(self, args: Iterable[np.ndarray], samples: Iterable[fo.Sample] | None = None) -> list[fo.Keypoints]:
        """Predict the people of several photos."""
        images = list(args)
        samples = [None] * len(images) if samples is None else list(samples)
        return [self.predict(image, sample) for image, sample in zip(images, samples, strict=True)]

    def _prompt(self, sample: fo.Sample | None) -> fo.Detections | None:
        field = (self.needs_fields or {}).get("prompt_field")
        if field is None or sample is None:
            return None
        prompt = sample[field]
        if prompt is None:
            return fo.Detections()
        if not isinstance(prompt, fo.Detections):
            raise ValueError(f'Expected prompt_field "{field}" to hold Detections, got {type(prompt).__name__}')
        return prompt

    def _predict_one(self, image: np.ndarray, prompt: fo.Detections | None) -> fo.Keypoints:
        image_hw = image.shape[:2]
        self.predictor.set_image(image)
        poses = self.predictor.predict(None if prompt is None else detection_boxes(prompt, image_hw))
        links = None if prompt is None else [instance_of(box) or fo.Instance() for box in prompt.detections]
        kept = np.flatnonzero(poses.instance_scores >= self.min_score)
        links = None if links is None else [links[person] for person in kept]
        keypoints, _ = poses_to_labels(poses.select(kept), image_hw, instances=links)
        for label in keypoints.keypoints:  # FiftyOne does not tell into which field they go
            label[PREDICTED_BY] = self._network
        return keypoints


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 of a grey, grey with alpha, RGB or RGBA photo, as FiftyOne reads files."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8:
        raise ValueError(f"Expected a photo of 8 bits a channel, got {image.dtype}")
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else np.ascontiguousarray(image[..., :3])
