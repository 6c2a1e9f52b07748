"""The photos of a dataset or of one of its saved views, for those who pose them outside FiftyOne."""

from __future__ import annotations


def photos_of(name: str) -> list[str]:
    """Return the paths of a dataset's photos, in its order.

    Args:
        name: of the dataset, or of a dataset and a saved view of it, ``quickstart/my-view``.

    Raises:
        ValueError: if there is neither.
    """
    import fiftyone as fo

    if fo.dataset_exists(name):
        return fo.load_dataset(name).values("filepath")
    dataset, _, view = name.rpartition("/")
    if not (dataset and fo.dataset_exists(dataset)):
        raise ValueError(f"Expected the name of a dataset of FiftyOne, got {name!r}; there are {fo.list_datasets()}")
    found = fo.load_dataset(dataset)
    if not found.has_saved_view(view):
        raise ValueError(f"Expected a saved view of {dataset}, got {view!r}; there are {found.list_saved_views()}")
    return found.load_saved_view(view).values("filepath")
