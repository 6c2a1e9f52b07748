"""The store of encoded regions: values, bounds, several processes, no pickle."""

import multiprocessing
import pickle
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from clickpose.frames import CropFrame
from clickpose.predictor import EncodedRegion
from clickpose_labelstudio import region_store
from clickpose_labelstudio.region_store import LAYOUT_VERSION, MAX_REGIONS_PER_IMAGE, DiskRegionStore, PlainDisk
from clickpose_labelstudio.settings import ServiceSettings


def region(left: float = 10.0, values: int = 8) -> EncodedRegion:
    box = np.array([left, 20.0, left + 50, 120.0])
    rng = np.random.default_rng(int(left))
    features = {"p4": rng.normal(size=(values,)).astype(np.float32)}
    return EncodedRegion(frame=CropFrame.around_box(box, 256), prompt_box_xyxy=box, features=features)


def kept(store: DiskRegionStore, image: str, weights: str) -> list[EncodedRegion]:
    """Return all regions of an image that the store can still give."""
    found = (store.load(image, weights, outline) for outline in store.outlines(image, weights))
    return [region for region in found if region is not None]


def lefts(regions) -> list[float]:
    return [float(region.prompt_box_xyxy[0]) for region in regions]


@pytest.fixture
def settings(tmp_path):
    def make(**values) -> ServiceSettings:
        return ServiceSettings(cache_dir=tmp_path, **values)

    return make


@pytest.fixture
def open_store(settings):
    opened = []

    def make(**values) -> DiskRegionStore:
        opened.append(DiskRegionStore(settings(**values)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def test_a_region_comes_back_with_its_values(open_store):
    open_store().add("image", "weights", [region()])
    (found,) = kept(open_store(), "image", "weights")
    assert found.frame == region().frame
    assert found.prompt_box_xyxy.tolist() == [10, 20, 60, 120]
    assert found.features["p4"].dtype == np.float32
    assert found.features["p4"].tolist() == region().features["p4"].tolist()


def test_other_images_and_other_weights_see_nothing(open_store):
    store = open_store()
    store.add("image", "weights", [region()])
    assert kept(store, "image", "other weights") == []
    assert kept(store, "other image", "weights") == []


def test_the_same_region_is_kept_once_and_the_latest_is_last(open_store):
    store = open_store()
    for left in (1.0, 2.0, 1.0):
        store.add("image", "weights", [region(left)])
    assert lefts(kept(store, "image", "weights")) == [2.0, 1.0]


def test_regions_of_an_image_are_bounded(open_store):
    store = open_store()
    for left in range(MAX_REGIONS_PER_IMAGE + 3):
        store.add("image", "weights", [region(float(left))])
    assert lefts(kept(store, "image", "weights")) == [float(left) for left in range(3, MAX_REGIONS_PER_IMAGE + 3)]


def test_the_folder_is_bounded(open_store, tmp_path):
    store = open_store(cache_max_bytes=2_000_000, memory_cache_max_bytes=1)
    for number in range(100):
        store.add(f"image {number}", "weights", [region(float(number), values=25_000)])
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.val"))
    assert 500_000 < size < 3_000_000
    assert kept(store, "image 0", "weights") == []
    assert lefts(kept(store, "image 99", "weights")) == [99.0]


def test_memory_serves_what_the_disk_has_lost(open_store, tmp_path):
    store = open_store()
    store.add("image", "weights", [region(values=25_000)])
    for path in tmp_path.rglob("*.val"):
        path.unlink()
    assert lefts(kept(store, "image", "weights")) == [10.0]
    assert kept(open_store(), "image", "weights") == []


def test_memory_is_bounded_by_bytes(open_store, tmp_path):
    store = open_store(memory_cache_max_bytes=250_000)
    for number in range(3):
        store.add(f"image {number}", "weights", [region(float(number), values=25_000)])  # 100 kB each
    for path in tmp_path.rglob("*.val"):
        path.unlink()
    assert [len(kept(store, f"image {number}", "weights")) for number in range(3)] == [0, 1, 1]


def test_references_are_remembered_for_their_lifetime(open_store, settings):
    store = open_store()
    assert store.content_hash("/data/upload/1/a.png") is None
    assert store.image_hw("hash") is None
    store.remember("/data/upload/1/a.png", "hash", (480, 640))
    store.remember("/data/upload/1/\ud800.png", "hash", (480, 640))
    assert open_store().content_hash("/data/upload/1/a.png") == "hash"
    assert open_store().image_hw("hash") == (480, 640)
    short = open_store(reference_ttl_s=1e-9)
    short.remember("/data/upload/1/b.png", "hash", (480, 640))
    assert short.content_hash("/data/upload/1/b.png") is None
    assert short.image_hw("hash") == (480, 640)


def test_an_address_is_another_image_in_another_label_studio_or_folder(open_store, tmp_path):
    address = "/data/local-files/?d=1.jpg"
    open_store().remember(address, "hash", (480, 640))
    assert open_store(label_studio_url="http://localhost:8081").content_hash(address) is None
    assert open_store(local_roots=(tmp_path,)).content_hash(address) is None
    assert open_store(label_studio_url="http://localhost:8080/").content_hash(address) == "hash"


def flip_a_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: b"", flip_a_bit], ids=["cut", "empty", "bit"]
)
def test_a_damaged_entry_is_dropped_and_can_be_written_again(open_store, tmp_path, caplog, damage):
    open_store().add("image", "weights", [region(values=25_000)])
    (path,) = tmp_path.rglob("*.val")
    path.write_bytes(damage(path.read_bytes()))
    fresh = open_store()
    assert kept(fresh, "image", "weights") == []
    assert "damaged cache entry is dropped" in caplog.text
    assert not path.exists()
    fresh.add("image", "weights", [region(values=25_000)])
    assert lefts(kept(open_store(), "image", "weights")) == [10.0]


def database(tmp_path: Path) -> Path:
    return tmp_path / LAYOUT_VERSION / "cache.db"


def overwrite(tmp_path: Path, **columns) -> None:
    """Change columns of every row of the cache's table behind its back."""
    with sqlite3.connect(database(tmp_path)) as connection:
        names = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(f"UPDATE Cache SET {names}", tuple(columns.values()))
    connection.close()


class Bomb:
    """Unpickling this writes a file."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_planted_pickle_is_never_loaded(open_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store()
    store.add("image", "weights", [region()])
    store.remember("reference", "hash", (1, 1))
    overwrite(tmp_path, mode=4, value=pickle.dumps(Bomb()))
    fresh = open_store()
    assert kept(fresh, "image", "weights") == []
    assert fresh.content_hash("reference") is None
    assert fresh.image_hw("hash") is None
    assert not (tmp_path / "exploded").exists()


def test_a_planted_file_name_does_not_lead_out_of_the_cache(open_store, tmp_path):
    (tmp_path / "outside").write_text('["x"]')
    open_store().add("image", "weights", [region()])
    overwrite(tmp_path, mode=3, filename="../outside", value=None)
    assert kept(open_store(), "image", "weights") == []


@pytest.mark.parametrize("value", ["nonsense", '{"a": 1}', "[[1]]", '["x"]', "1", b"bytes", 7])
def test_foreign_values_count_as_absent(open_store, tmp_path, value):
    store = open_store()
    store.add("image", "weights", [region()])
    store.remember("reference", "hash", (1, 1))
    overwrite(tmp_path, mode=1, filename=None, value=value)
    fresh = open_store()
    assert kept(fresh, "image", "weights") == []
    assert fresh.image_hw("hash") is None


def test_a_damaged_database_is_started_anew(open_store, tmp_path, caplog):
    database(tmp_path).parent.mkdir(parents=True)
    database(tmp_path).write_bytes(b"this is no database" * 1000)
    store = open_store()
    assert "started anew" in caplog.text
    store.add("image", "weights", [region()])
    assert lefts(kept(open_store(), "image", "weights")) == [10.0]


def test_a_folder_that_disappears_costs_only_the_cache(open_store, tmp_path):
    store = open_store(memory_cache_max_bytes=1)
    store.add("image", "weights", [region(values=25_000)])
    with sqlite3.connect(database(tmp_path)) as connection:
        connection.execute("DROP TABLE Cache")
    connection.close()
    assert kept(store, "image", "weights") == []
    assert store.content_hash("reference") is None
    store.add("image", "weights", [region(values=25_000)])
    store.remember("reference", "hash", (1, 1))
    assert lefts(kept(open_store(), "image", "weights")) == [10.0]  # the tables are there again


@pytest.mark.parametrize("gone", ["folder", "another worker has made a new one"])
def test_a_folder_that_is_deleted_is_made_again(open_store, tmp_path, monkeypatch, gone):
    store = open_store(memory_cache_max_bytes=1)
    store.add("image", "weights", [region(values=25_000)])
    shutil.rmtree(tmp_path / LAYOUT_VERSION)
    if gone != "folder":
        open_store().add("image", "weights", [region(5.0)])
    monkeypatch.setattr(region_store, "LOOK_S", 0.0)
    store.add("image", "weights", [region(values=25_000)])
    expected = [10.0] if gone == "folder" else [5.0, 10.0]
    assert lefts(kept(store, "image", "weights")) == expected == lefts(kept(open_store(), "image", "weights"))


def test_a_database_that_is_damaged_meanwhile_is_started_anew(open_store, tmp_path, monkeypatch, caplog):
    store = open_store(memory_cache_max_bytes=1)
    store.add("image", "weights", [region()])

    def damaged(*_, **__):
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr(region_store.diskcache.Cache, "get", damaged)
        assert kept(store, "image", "weights") == []
    assert kept(store, "image", "weights") == []
    store.add("image", "weights", [region(3.0)])
    assert lefts(kept(store, "image", "weights")) == [3.0] == lefts(kept(open_store(), "image", "weights"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAYOUT_VERSION]
    assert caplog.text.count("malformed") == 1


def test_a_disk_that_has_room_again_is_used(open_store, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(region_store.diskcache, "Cache", full_disk)
        store = open_store()
        for _ in range(50):
            store.add("image", "weights", [region(1.0)])
    assert caplog.text.count("Regions were not cached on disk") == 1  # and not with every edit
    store.add("image", "weights", [region(2.0)])
    assert kept(open_store(), "image", "weights") == []
    monkeypatch.setattr(region_store, "NO_CACHE_LOOK_S", 0.0)
    store.add("image", "weights", [region(3.0)])
    assert 3.0 in lefts(kept(open_store(), "image", "weights"))


def full_disk(*_, **__):
    raise sqlite3.OperationalError("database or disk is full")


def check_that_memory_serves(store: DiskRegionStore) -> None:
    """What has been added just now is there, in order, and nothing else."""
    for left in (1.0, 2.0, 1.0):
        store.add("image", "weights", [region(left)])
    store.remember("reference", "hash", (3, 4))
    assert lefts(kept(store, "image", "weights")) == [2.0, 1.0]
    assert store.content_hash("reference") == "hash" and store.image_hw("hash") == (3, 4)
    assert kept(store, "image", "other weights") == [] and store.content_hash("other") is None


def test_a_disk_that_is_full_at_the_start_leaves_memory(open_store, monkeypatch, caplog):
    monkeypatch.setattr(region_store.diskcache, "Cache", full_disk)
    check_that_memory_serves(open_store())
    assert "memory alone serves: database or disk is full" in caplog.text


def test_a_disk_that_fills_up_leaves_memory_until_there_is_room_again(open_store, monkeypatch):
    store = open_store()
    store.add("image", "weights", [region(2.0)])
    with monkeypatch.context() as patch:
        patch.setattr(region_store.diskcache.Cache, "set", full_disk)
        check_that_memory_serves(store)
        assert lefts(kept(open_store(), "image", "weights")) == [2.0]
    store.add("image", "weights", [region(3.0)])
    assert lefts(kept(store, "image", "weights")) == [2.0, 1.0, 3.0]
    assert lefts(kept(open_store(), "image", "weights")) == [2.0, 3.0]


def test_what_the_disk_did_not_take_is_bounded_and_ends(open_store, monkeypatch):
    monkeypatch.setattr(region_store, "MAX_SPARE_TEXTS", 2)
    monkeypatch.setattr(region_store.diskcache.Cache, "set", full_disk)
    store = open_store(reference_ttl_s=1e-9)
    store.remember("reference", "hash", (3, 4))
    assert store.content_hash("reference") is None and store.image_hw("hash") == (3, 4)
    store.remember("other", "other", (5, 6))
    assert store.image_hw("hash") is None and store.image_hw("other") == (5, 6)


@pytest.mark.parametrize("value", [1.5, None, ["a"], Bomb(), 2**64])
def test_the_disk_refuses_what_would_need_a_pickle(tmp_path, value):
    disk = PlainDisk(str(tmp_path))
    with pytest.raises(TypeError, match="Expected a cache value of type bytes, str or int"):
        disk.store(value, read=False)
    with pytest.raises(TypeError, match="Expected a cache key of type str"):
        disk.put((value,))


def _add_regions(settings: ServiceSettings, first: int) -> None:
    store = DiskRegionStore(settings)
    for number in range(first, first + 20):
        store.add("image", "weights", [region(float(number % 25))])
    store.close()


@pytest.mark.slow
def test_two_processes_share_the_cache_without_losing_regions(open_store, settings):
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=_add_regions, args=(settings(), first)) for first in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(lefts(kept(open_store(), "image", "weights"))) == [float(number) for number in range(25)]
