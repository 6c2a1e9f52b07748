"""A dataset or a saved view names the photos of a large run."""

import pytest
from typer.testing import CliRunner

import clickpose
from clickpose import cli
from clickpose.large_sets.run_folder import RunFolder
from clickpose_fiftyone.photo_list import photos_of
from helpers import fakes


def test_photos_of_a_dataset_and_of_a_view_in_order(new_dataset, tmp_path, monkeypatch):
    import fiftyone as fo

    dataset = new_dataset(*(fo.Sample(filepath=str(tmp_path / name)) for name in ("b.jpg", "a.jpg", "c.jpg")))
    dataset.save_view("without-a", dataset.select([dataset.values("id")[number] for number in (2, 0)], ordered=True))
    paths = dataset.values("filepath")
    assert photos_of(dataset.name) == paths
    assert photos_of(f"{dataset.name}/without-a") == [paths[2], paths[0]]
    with pytest.raises(ValueError, match=r"Expected a saved view of .*, got 'none'; there are \['without-a'\]"):
        photos_of(f"{dataset.name}/none")
    with pytest.raises(ValueError, match="Expected the name of a dataset of FiftyOne, got 'nowhere'"):
        photos_of("nowhere")
    monkeypatch.setattr(clickpose, "load", lambda name, **options: fakes.FakePredictor())
    command = ["predict", f"fiftyone:{dataset.name}/without-a", "--run", str(tmp_path / "run")]
    CliRunner().invoke(cli.app, command)
    assert [photo.address for photo in RunFolder(tmp_path / "run").photos(0)] == [paths[2], paths[0]]
