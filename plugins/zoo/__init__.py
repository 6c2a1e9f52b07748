"""A remote zoo source: ``foz.register_zoo_model_source(<this folder or its address>)``, then
``foz.load_zoo_model("clickpose-lite")``.

The weights of lite ship with the package, so nothing is downloaded from anywhere.
"""

from pathlib import Path


def download_model(model_name, model_path):
    """Put the model where FiftyOne wants it: a copy of the shipped weights; r50 has none.

    Args:
        model_name: name in the manifest.
        model_path: where FiftyOne looks for the weights.

    Raises:
        ValueError: for a model without weights of ours.
    """
    from clickpose.weights_io import WEIGHTS_FOLDER

    if model_name != "clickpose-lite":
        raise ValueError(f"Expected weights for {model_name}: clickpose_fiftyone.PoseModel('r50', checkpoint='<file>')")
    Path(model_path).write_bytes((WEIGHTS_FOLDER / "lite.safetensors").read_bytes())


def load_model(model_name, model_path, **options):
    """Return a :class:`clickpose_fiftyone.model.PoseModel`.

    Args:
        model_name: name in the manifest.
        model_path: weights that :func:`download_model` wrote.
        options: of the model, such as ``min_score`` and ``device``.
    """
    from clickpose_fiftyone.model import PoseModel

    return PoseModel(model_name.removeprefix("clickpose-"), checkpoint=model_path, **options)
