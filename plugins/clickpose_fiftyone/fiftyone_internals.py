"""Everything private of FiftyOne that we rely on, each in a function that says what it stands for.

No other module of the plugin touches a name of FiftyOne that begins with an underscore; a test reads the code for it.
``tests/plugins/test_fiftyone_internals.py`` is the contract: where a version of FiftyOne changes one of these, it fails
with a sentence that names the function to mend.
"""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
import fiftyone.utils.annotations as foua

ID = "_id"  # of a document as the database keeps it: photos and labels; an ObjectId
CLASS = "_cls"  # of an embedded document: the name of its class


def dataset_of(samples) -> fo.Dataset:
    """Return the dataset that a view's columns are written to; of a view of patches or frames, the generated one."""
    return samples._dataset


def root_dataset_of(samples) -> fo.Dataset:
    """Return the dataset that the user opened, also of a view of patches or frames."""
    return samples._root_dataset


def is_patches(samples) -> bool:
    """Tell whether the elements of a view are people cut out of photos (``to_patches``)."""
    return samples._is_patches


def is_generated(samples) -> bool:
    """Tell whether a view's documents are copies, of patches or frames, whose writes FiftyOne carries on."""
    return samples._is_generated


def serialized_view(samples) -> list:
    """Return the stages of a view as an operator's request holds them."""
    return samples.view()._serialize()


def object_ids(samples) -> list:
    """Return the S photos' ids as the database compares them, in the view's order."""
    return samples.values(ID)


def write_operations(samples, operations: Sequence, sample_ids: Sequence) -> None:
    """Write to a dataset's photos in batches, and let loaded samples know that they are stale.

    Args:
        samples: a dataset or view.
        operations: pymongo's, one a photo.
        sample_ids: of each, an ``ObjectId``.
    """
    if operations:
        samples._dataset._bulk_write(list(operations), ids=list(sample_ids))


def list_name(kind: type) -> str:
    """Return where a class of several labels keeps them: ``"keypoints"`` of ``fo.Keypoints``."""
    return kind._LABEL_LIST_FIELD


def own_attributes(kind: type) -> set[str]:
    """Return the attributes that each label of a class of several labels has without being declared."""
    return {ID, CLASS, *kind._fields[list_name(kind)].field.document_type._fields}


def take_parameters(config: foua.AnnotationBackendConfig, **parameters) -> None:
    """Set a backend's parameters: those that are given, else those of ``fo.annotation_config``, else none."""
    config._load_parameters(**parameters)


class RestoredResults:
    """Mix-in for the stored results of a run, of an evaluation or an annotation: :meth:`restore` reads them back.

    FiftyOne calls a private class method with what it has stored, the collection, the configuration and the run's name.
    """

    @classmethod
    def restore(cls, stored: dict, samples, config, key: str, **kwargs):
        """Return the results of a run from what was stored of them."""
        raise NotImplementedError

    @classmethod
    def _from_dict(cls, d, samples, config, key, **kwargs):
        return cls.restore(d, samples, config, key, **kwargs)
