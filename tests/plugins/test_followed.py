"""What this process knows of the people of a dataset is what the database says, whoever changed it."""

import fiftyone as fo
import pytest

from clickpose_fiftyone import followed
from clickpose_fiftyone.columns import PersonColumns, people_expression
from clickpose_fiftyone.fiftyone_internals import raw_columns
from clickpose_fiftyone.followed import FOLLOWED, people_known
from clickpose_fiftyone.people_views import view_of_persons
from clickpose_fiftyone.review import review_queue
from clickpose_fiftyone.settling import settle


@pytest.fixture
def dataset(person_dataset):
    return person_dataset((2, 1, 0, 3), noise=4.0)


def read(samples):
    """The same columns, read anew."""
    attributes = {name: people_expression("pred", name) for name in FOLLOWED}
    return raw_columns(samples, {"": "$_id", "people": people_expression("pred", "_id"), **attributes})


def by_photo(columns):
    """Columns as photo -> what it has: photos without people count as such, however the database says it."""
    rows = zip(columns[""], *(columns[name] for name in ("people", *FOLLOWED)), strict=True)
    return {photo: [value or [] for value in values] for photo, *values in rows}


def delete_one(dataset):
    dataset.delete_samples(dataset.values("id")[:1])


def add_one(dataset):
    dataset.add_sample(fo.Sample("/nowhere/new.jpg"))


def save_one(dataset):
    sample = dataset.last()
    sample.pred.keypoints[0]["pred_oks"] = 0.125
    sample.pred.keypoints.pop()
    sample.save()


IDS, OKS = "pred.keypoints.id", "pred.keypoints.pred_oks"
CHANGES = {
    "a tag of FiftyOne's": lambda dataset: dataset.tag_labels("accepted", label_fields="pred"),
    "a tag that is taken": lambda dataset: dataset.untag_labels("accepted", label_fields="pred"),
    "a column of ours": lambda dataset: PersonColumns(dataset, "pred").write("pred_oks", [0.5] * 6),
    "a column of FiftyOne's": lambda dataset: dataset.set_values(OKS, [[0.1, 0.2], [0.3], [], [0.4] * 3]),
    "a saved photo": save_one,
    "somebody who is settled": lambda dataset: settle(dataset, "pred", dataset.values(IDS)[0], "rejected"),
    "a photo that is deleted": delete_one,
    "a photo that is added": add_one,
    "a field that is cleared": lambda dataset: dataset.clear_sample_field("pred"),
}  # fmt: skip


def test_it_follows_whatever_is_written(dataset, monkeypatch):
    reads = []
    original = followed._read

    def counted(collection, name, kept):
        reads.append(kept.newest is None)
        return original(collection, name, kept)

    monkeypatch.setattr(followed, "_read", counted)
    for what, change in CHANGES.items():
        change(dataset)
        own = fo.load_dataset(dataset.name)  # as each event of the app does
        own.reload()
        assert by_photo(people_known(own, "pred")) == by_photo(read(own)), what
        view = own.exists("filepath").sort_by("filepath", reverse=True).limit(2)
        assert people_known(view, "pred")[""] == read(view)[""] and by_photo(people_known(view, "pred")) == by_photo(
            read(view)
        ), what
    assert reads.count(False) > len(CHANGES)  # it did not read everything each time


def test_a_view_that_changes_people_is_read(dataset):
    ids = dataset.values("pred.keypoints.id", unwind=True)
    assert people_known(view_of_persons(dataset, "pred", ids[:2]), "pred") is None
    assert review_queue(view_of_persons(dataset, "pred", ids[:2])).total == 2
    assert people_known(dataset.filter_labels("pred", fo.ViewField("pred_oks") > 0.5), "pred") is None


def test_few_datasets_are_kept(person_dataset):
    for _ in range(followed._DATASETS + 2):
        people_known(person_dataset((1,)), "pred")
    assert len(followed._KEPT) == followed._DATASETS
