"""A remote zoo source: ``foz.register_zoo_model_source(<this folder or its address>)``, then
``foz.load_zoo_model("clickpose-lite")``.

The weights of lite ship with the package, so nothing is downloaded from anywhere. r50 has none that ship: name a file
with ``foz.load_zoo_model("clickpose-r50", checkpoint="<file>")``, or put it where the zoo expects it.
"""

from pathlib import Path


def download_model(model_name, model_path):
    """Put the model where FiftyOne wants it: a copy of the shipped weights; of r50 an empty file that keeps the place.

    Args:
        model_name: name in the manifest.
        model_path: where FiftyOne looks for the weights.
    """
    from clickpose.weights_io import WEIGHTS_FOLDER

    shipped = model_name == "clickpose-lite"
    Path(model_path).write_bytes((WEIGHTS_FOLDER / "lite.safetensors").read_bytes() if shipped else b"")


def load_model(model_name, model_path, checkpoint=None, **options):
    """Return a :class:`clickpose_fiftyone.model.PoseModel`.

    Args:
        model_name: name in the manifest.
        model_path: where the zoo keeps the weights.
        checkpoint: weights to load instead.
        options: of the model, such as ``min_score`` and ``device``.

    Raises:
        ValueError: if there are no weights.
    """
    from clickpose_fiftyone.model import PoseModel

    if checkpoint is None and not Path(model_path).stat().st_size:
        raise ValueError(
            f"Expected weights for {model_name}, which ships none: foz.load_zoo_model({model_name!r}, "
            f"checkpoint='<file>'), or put the file at {model_path}"
        )
    return PoseModel(model_name.removeprefix("clickpose-"), checkpoint=checkpoint or model_path, **options)
