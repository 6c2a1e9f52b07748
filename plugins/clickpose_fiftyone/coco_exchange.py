"""COCO keypoint files in and out, without loss.

FiftyOne's own importer drops areas, boxes and the skeleton, and its exporter rounds to integers. Here a file comes back
as it was, in its order and with its ids, but for what somebody changed; see :mod:`clickpose_fiftyone.coco_kept`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fiftyone as fo

from clickpose.data.coco_records import CocoImage, coco_images
from clickpose.data.confidences import thirds_are_flags
from clickpose.data.json_file import read_json_as
from clickpose.data.notes import Notes, note
from clickpose.data.photo_files import same_shape
from clickpose.data.tool_files import READ_SUFFIXES, is_datumaro, read_label_file, write_label_file, written_tool
from clickpose.image_io import ImageError, read_sides
from clickpose.outputs import check_outputs
from clickpose.steps import Steps, stepwise
from clickpose_fiftyone.checks import left_out, listed, plural, require_writable
from clickpose_fiftyone.coco_kept import (
    Kept,
    KeptDocument,
    fields_with_images,
    keep_document,
    keep_images,
    kept_document,
    kept_images,
)
from clickpose_fiftyone.coco_reading import (
    CocoFile,
    PhotoLabels,
    boxless,
    id_storage,
    image_of,
    photo_labels,
    read_document,
    read_list,
)
from clickpose_fiftyone.coco_writing import document_of
from clickpose_fiftyone.collector import collector_paused, uncollected
from clickpose_fiftyone.column_writes import label_documents, write_labels
from clickpose_fiftyone.columns import count_rejected
from clickpose_fiftyone.field_names import CATEGORY_ID, COCO_ID, GT, boxes_field_of, people_path, person_path
from clickpose_fiftyone.overwriting import Writer, require_replaceable
from clickpose_fiftyone.people_views import of_photos, photos_of
from clickpose_fiftyone.photo_names import find_photo
from clickpose_fiftyone.skeletons import set_skeleton, skeleton_of


@dataclass(frozen=True)
class ExchangeSummary:
    """How many photos and people were read or written, and what was left out or guessed: what -> how often."""

    photos: int
    persons: int
    notes: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.persons} people in {plural(self.photos, 'photo')}.{left_out(self.notes)}"


@dataclass(frozen=True, kw_only=True)
class _Photo:
    """A photo of a file: where it is, its place in the file, and the (width, height) px that the labels refer to."""

    image: CocoImage
    path: str
    place: int
    size: tuple[float, float]


@collector_paused()
def import_coco(
    dataset: fo.Dataset,
    annotations: str | Path | Mapping | Sequence,
    images: str | Path | None = None,
    field: str = GT,
    limit: int | None = None,
    replace: bool = False,
) -> ExchangeSummary:
    """Add the photos of a COCO keypoint file with their people to a dataset; photos that are there get the field.

    People go to ``field``, their boxes and the annotations of other categories to ``<field>_boxes``, linked by
    ``fo.Instance``. Joints of labels that are not there are NaN; those of predictions (people with a ``score``) have
    visibility 0. A list of results goes to the photos that an imported file gave ids. What is left out is counted.

    Args:
        dataset: where to.
        annotations: the file, or its parsed content; also one of CVAT, Datumaro, SLEAP or DeepLabCut (see
            :func:`clickpose.data.tool_files.read_label_file`).
        images: folder of the photos; not needed for a list of results.
        field: Keypoints field to write.
        limit: read the first photos only.
        replace: also replace people whom somebody corrected or accepted, or whom no file brought, such as predictions;
            they are lost then.

    Raises:
        ValueError: if it is no such file, none of its photos is in the folder, two of its images are one photo, a photo
            has another shape than its labels, or somebody would be lost; nothing is written then.
    """
    require_writable(dataset, field, fo.Keypoints)
    require_writable(dataset, boxes_field_of(field), fo.Detections)
    content, source = _content(annotations)
    if isinstance(content, Sequence) and not isinstance(content, str):
        file, photos = _results_of(dataset, content, source, limit)
    else:
        file = read_document(content, source)
        photos = _photos(file, images, limit)
    require_replaceable(_known_photos(dataset, photos), field, Writer.FILE, replace)
    labels = _labels_of(dataset, field, file, photos)
    _write(dataset, field, photos, labels)
    set_skeleton(dataset, field, file.skeleton)
    keep_document(
        dataset,
        field,
        KeptDocument(rest=file.rest, others=boxless(file), is_list=file.is_list, flags=thirds_are_flags(file.people)),
    )
    return ExchangeSummary(len(photos), sum(len(found.keypoints) for found in labels), file.notes)


@stepwise
@uncollected
def export_coco(samples, path: str | Path, field: str = GT, results: bool | None = None) -> Steps[ExchangeSummary]:
    """Write the people of a field as a COCO keypoint file; an imported file comes back as it was, but for changes.

    Predictions get ``score``, ``keypoint_scores`` and ``visibility_scores`` as ``clickpose predict`` writes them.

    Args:
        samples: a dataset or view.
        path: file to write, at once and never half; ``.xml`` for CVAT for images, ``.datumaro.json`` for Datumaro,
            ``.slp`` for SLEAP.
        field: Keypoints field.
        results: True for a list of results, as pycocotools' ``loadRes`` takes it; None for what the field was read
            from, else a dataset.
        progress: called with (people done, people in all); the file is written after the last of them.

    Raises:
        ValueError: if the field cannot serve, or two photos would have one file name.
    """
    path, samples = Path(path), photos_of(samples)
    check_outputs({"path": path})
    document = yield from document_of.steps(samples, field, results)
    if tool := written_tool(path):
        notes: Notes = {}
        if isinstance(document, Mapping):
            write_label_file(path, document, tool, skeleton_of(samples, field), notes)
            return _written(samples, field, notes)
        raise ValueError(f"Expected a .json file for a list of results, got {path}")
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)
    return _written(samples, field, {})


def _written(samples, field: str, notes: Notes) -> ExchangeSummary:
    """Return what was written: all but the people whom somebody rejected, who are told."""
    rejected = count_rejected(samples, field)
    note(notes, "people whom somebody rejected", rejected)
    return ExchangeSummary(len(samples), samples.count(people_path(field)) - rejected, notes)


@of_photos
def to_coco(samples, field: str = GT) -> dict:
    """Return the people of a field as a COCO keypoint dataset; see :func:`export_coco`."""
    return document_of(samples, field, results=False)


def _content(annotations: str | Path | Mapping | Sequence) -> tuple[object, str]:
    """Return the parsed content and the file's name for messages."""
    if isinstance(annotations, (str, Path)):
        path = Path(annotations)
        if path.suffix.lower() in READ_SUFFIXES:
            return read_label_file(path), path.name
        content = read_json_as(path, lambda content: content)
        return (read_label_file(path) if is_datumaro(content) else content), path.name
    return annotations, ""


def _photos(file: CocoFile, folder: str | Path | None, limit: int | None) -> list[_Photo]:
    """Find the photos of a file; those that are not in the folder are counted.

    Raises:
        ValueError: if there is none of them, two are one, or one has another shape than its labels.
    """
    if folder is None:
        raise ValueError("Expected the folder of the photos, got none")
    if not Path(folder).is_dir():
        raise ValueError(f"Expected the folder of the photos, got {folder}, which is none")
    photos, missing = [], []
    for place, image in enumerate(file.images[:limit]):
        if image.file_name is None:
            raise ValueError(f"Expected a file_name of image {image.image_id!r}, got none")
        path = find_photo(Path(folder), image.file_name)
        if path is None:
            missing.append(image.file_name)
            continue
        size = _size(image, path, file.notes)
        photos.append(_Photo(image=image, path=str(path), place=place, size=size))
    if missing and not photos:
        raise ImageError(f"Expected the photos of the file in {folder}, got none of {listed(missing)}")
    if missing:
        note(file.notes, f"photos that are not in the folder, left out with their people ({listed(missing, 3)})",
             len(missing))  # fmt: skip
    _require_different(photos)
    return photos


def _size(image: CocoImage, path: Path, notes: Notes) -> tuple[float, float]:
    """Return the (width, height) px that a photo's labels refer to.

    Raises:
        ImageError: if the photo has another shape, or nothing tells its size.
    """
    if image.image_hw is None:
        height, width = read_sides(path, upright=True)
        return width, height
    height, width = image.image_hw
    try:
        shapes = [read_sides(path), read_sides(path, upright=True)]
    except ImageError:
        note(notes, "photos that cannot be read")
        return width, height
    declared = tuple(image.entry.get(f"file_{side}") for side in ("height", "width"))
    if not any(same_shape(shape, image.image_hw) or shape == declared for shape in shapes):
        raise ImageError(
            f"Expected a photo of {width} x {height} pixels, as the file says of image {image.image_id!r}, or of this "
            f"shape at another scale, got {shapes[0][1]} x {shapes[0][0]}: {path}"
        )
    return width, height


def _require_different(photos: Sequence[_Photo]) -> None:
    by_path: dict[str, _Photo] = {}
    for photo in photos:
        if photo.path in by_path:
            first = by_path[photo.path].image
            raise ValueError(
                f"Expected a photo for each image, got {photo.path} for images {first.image_id!r} "
                f"({first.file_name}) and {photo.image.image_id!r} ({photo.image.file_name})"
            )
        by_path[photo.path] = photo


def _results_of(
    dataset: fo.Dataset, results: Sequence, source: str, limit: int | None
) -> tuple[CocoFile, list[_Photo]]:
    """Read a list of results for the photos of the imported field that gave them their ids.

    Raises:
        ValueError: if no field did.
    """
    wanted = {image_of(entry) for entry in results if isinstance(entry, Mapping)}
    fields = [name for name in fields_with_images(dataset) if kept_document(dataset, name) is not None]
    found = {name: _ids_of(dataset, name) for name in fields}
    named = next((name for name in fields if wanted <= set(found[name])), fields[0] if fields else None)
    if named is None:
        raise ValueError(
            f"Expected photos with COCO's image ids for the list of results{f' {source}' if source else ''}, got none; "
            "import the labels first"
        )
    images = coco_images({"images": [kept.entry for kept in found[named].values()]})
    sizes = dict(zip(*dataset.values(["filepath", "id"]), strict=True))
    paths = {kept.entry["id"]: path for kept, path in zip(kept_images(dataset, named), sizes, strict=True) if kept}
    file = read_list(results, images, skeleton_of(dataset, named), kept_document(dataset, named).rest, source)
    photos = [
        _Photo(
            image=image,
            path=paths[image.image_id],
            place=found[named][image.image_id].place,
            size=image.image_hw[::-1] if image.image_hw else read_sides(paths[image.image_id], upright=True)[::-1],
        )
        for image in images[:limit]
    ]
    return file, photos


def _ids_of(dataset: fo.Dataset, field: str) -> dict[Hashable, Kept]:
    return {kept.entry["id"]: kept for kept in kept_images(dataset, field) if kept is not None}


def _labels_of(dataset: fo.Dataset, field: str, file: CocoFile, photos: Sequence[_Photo]) -> list[PhotoLabels]:
    """Return each photo's labels."""
    entries = [person.entry for person in file.people] + [kept.entry for kept in file.others]
    ids = {
        name: id_storage([entry.get(key) for entry in entries], dataset.get_field(person_path(field, name)))
        for name, key in ((COCO_ID, "id"), (CATEGORY_ID, "category_id"))
    }
    found = photo_labels(file, {photo.image.image_id: photo.size for photo in photos}, ids)
    return [found[photo.image.image_id] for photo in photos]


def _known_photos(dataset: fo.Dataset, photos: Sequence[_Photo]) -> fo.DatasetView:
    """Return those of the photos that are in the dataset already."""
    paths = {photo.path for photo in photos}
    known = zip(*dataset.values(["filepath", "id"]), strict=True) if len(dataset) else ()
    return dataset.select([sample_id for path, sample_id in known if path in paths])


def _write(dataset: fo.Dataset, field: str, photos: Sequence[_Photo], labels: Sequence[PhotoLabels]) -> None:
    known = dict(zip(*dataset.values(["filepath", "id"]), strict=True)) if len(dataset) else {}
    new = [
        fo.Sample(filepath=photo.path, metadata=fo.ImageMetadata(width=int(photo.size[0]), height=int(photo.size[1])))
        for photo in photos
        if photo.path not in known
    ]
    if new:
        dataset.add_samples(new, progress=False)
        known = dict(zip(*dataset.values(["filepath", "id"]), strict=True))
    if not photos:
        return
    view = dataset.select([known[photo.path] for photo in photos], ordered=True)
    _settle_sizes(view, photos)
    keep_images(view, field, [Kept(photo.place, dict(photo.image.entry)) for photo in photos])
    write_labels(
        view,
        {
            field: (fo.Keypoints, [label_documents(fo.Keypoints(keypoints=found.keypoints)) for found in labels]),
            boxes_field_of(field): (
                fo.Detections, [label_documents(fo.Detections(detections=found.boxes)) for found in labels],
            ),
        },
    )  # fmt: skip


def _settle_sizes(view, photos: Sequence[_Photo]) -> None:
    """Let the size of photos that were there be the one that their labels, with areas in px², refer to."""
    stored = view.values("metadata")
    wanted = [tuple(map(int, photo.size)) for photo in photos]
    if any(own is None or (own.width, own.height) != size for own, size in zip(stored, wanted, strict=True)):
        view.set_values("metadata", [fo.ImageMetadata(width=width, height=height) for width, height in wanted])
