"""The runs of a dataset that were sent to Label Studio, by name."""

from __future__ import annotations

import fiftyone as fo

from clickpose_fiftyone.backends import BACKEND, register_backends


def runs_of(dataset: fo.Dataset) -> list[str]:
    """Return the names of the runs that were sent by this package, the last one last."""
    register_backends()
    names = dataset.list_annotation_runs()
    return [name for name in names if getattr(dataset.get_annotation_info(name).config, "method", None) == BACKEND]


def load_run(dataset: fo.Dataset, anno_key: str, url: str | None = None, api_key: str = ""):
    """Return a run as the database keeps it now, whatever other processes have done with it.

    Args:
        dataset: what was sent.
        anno_key: name of the run.
        url: address of Label Studio, if it is another by now; the run remembers it.
        api_key: its key.

    Raises:
        ValueError: if there is no such run.
    """
    runs = runs_of(dataset)
    if anno_key not in runs:
        raise ValueError(f"Expected a run that was sent ({', '.join(runs)}), got {anno_key!r}")
    return dataset.load_annotation_results(anno_key, cache=False, url=url, api_key=api_key or None)


def address_of(dataset: fo.Dataset, anno_key: str | None = None) -> str | None:
    """Return the address of a run, or of the last one; None where nothing was sent."""
    runs = runs_of(dataset)
    name = anno_key if anno_key in runs else next(reversed(runs), None)
    return None if name is None else getattr(dataset.get_annotation_info(name).config, "url", None)
