"""A FiftyOne of our own: its database on a free port, nothing of the user's touched, no network beyond this machine."""

import atexit
import contextlib
import importlib.util
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clickpose.skeleton import COCO

HAS_FIFTYONE = importlib.util.find_spec("fiftyone") is not None
collect_ignore_glob = [] if HAS_FIFTYONE else ["*"]


def start_fiftyone() -> Path:
    """Start a database, point FiftyOne at it and import it, before a test module does; all ends with the process."""
    from clickpose_fiftyone.database import running_server

    home = Path(tempfile.mkdtemp(prefix="clickpose-fiftyone-"))
    cleanup = contextlib.ExitStack()
    cleanup.callback(shutil.rmtree, home, ignore_errors=True)
    atexit.register(cleanup.close)
    (home / "plugins").mkdir()
    os.environ.update(
        {
            "FIFTYONE_DATABASE_URI": cleanup.enter_context(running_server(home)),
            "FIFTYONE_DATABASE_NAME": "clickpose-tests",
            "FIFTYONE_DATABASE_VALIDATION": "false",
            "FIFTYONE_DO_NOT_TRACK": "true",
            "FIFTYONE_SHOW_PROGRESS_BARS": "false",
            "FIFTYONE_DEFAULT_DATASET_DIR": str(home / "datasets"),
            "FIFTYONE_MODEL_ZOO_DIR": str(home / "models"),
            "FIFTYONE_PLUGINS_DIR": str(home / "plugins"),
            "OMP_NUM_THREADS": "1",
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of FiftyOne's own dependencies
        import fiftyone.operators  # noqa: F401
    return home


HOME = start_fiftyone() if HAS_FIFTYONE else None


def pytest_collection_modifyitems(items):
    """Warnings of ours stay errors; those of FiftyOne's own dependencies do not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def fiftyone_home() -> Path:
    """The folder of this run's FiftyOne: database, plugins, data sets."""
    return HOME


@pytest.fixture(scope="session")
def app(fiftyone_home):
    """The address of the real app, for all browser tests of this run; the demo photos are predicted."""
    from helpers.fiftyone_app import running_app

    with running_app(fiftyone_home) as address:
        yield address


@pytest.fixture(scope="module")
def browser(app):
    """Headless Chromium, ended with the module: Playwright's event loop lets nobody else have one."""
    from helpers.fiftyone_app import running_browser

    with running_browser() as chromium:
        yield chromium


@pytest.fixture(autouse=True)
def pages_end_with_their_test(request):
    """A page that a test which failed has left open would go on asking the app, of all further tests."""
    chromium = request.getfixturevalue("browser") if "browser" in request.fixturenames else None
    yield
    for context in () if chromium is None else list(chromium.contexts):
        context.close()


@pytest.fixture
def dataset(app):
    """A copy of the predicted demo photos; tests that need no app have datasets of their own."""
    from helpers.fiftyone_app import copy_of_demo

    copy = copy_of_demo()
    yield copy
    copy.delete()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def new_dataset():
    """Makes datasets that are deleted afterwards."""
    import fiftyone as fo

    made = []

    def make(*samples, name=None):
        dataset = fo.Dataset(name)
        made.append(dataset)
        dataset.add_samples(list(samples))
        return dataset

    yield make
    for dataset in made:
        if not dataset.deleted:
            dataset.delete()


IMAGE_WH = (640, 480)


def make_person(rng, noise):
    """A random annotated person and a prediction of it: (keypoints, visibility, noisy keypoints, box), px."""
    center, size = rng.uniform([150, 130], [490, 350]), rng.uniform(60, 240)
    keypoints = center + rng.uniform(-0.5, 0.5, (len(COCO), 2)) * size
    visibility = rng.choice([0, 1, 2], len(COCO), p=[0.2, 0.2, 0.6])
    visibility[0] = 2
    found = keypoints + rng.normal(0, noise, keypoints.shape)
    box = np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])
    return keypoints, visibility, found, box


def person_labels(rng, noise):
    """The same as two FiftyOne keypoints, annotation and prediction."""
    import fiftyone as fo

    keypoints, visibility, found, box = make_person(rng, noise)
    relative = np.where((visibility > 0)[:, None], keypoints, np.nan) / IMAGE_WH
    size = box[2:] - box[:2]
    bounding_box = (np.concatenate([box[:2], size]) / (*IMAGE_WH, *IMAGE_WH)).tolist()
    area = float(0.53 * size.prod())
    truth = fo.Keypoint(
        label="person", points=relative.tolist(), visibility=visibility.tolist(), bounding_box=bounding_box, area=area
    )
    score = float(rng.uniform(0.2, 0.95))
    confidence = rng.uniform(0.05, 0.95, len(COCO)).tolist()
    prediction = fo.Keypoint(
        label="person", points=(found / IMAGE_WH).tolist(), confidence=confidence, keypoint_oks=confidence,
        visibility=rng.uniform(0, 1, len(COCO)).tolist(), bounding_box=bounding_box, pred_oks=score, score_raw=score,
    )  # fmt: skip
    return truth, prediction


@pytest.fixture
def person_dataset(new_dataset, rng):
    """Makes a dataset of photos (whose files do not exist) with ground truth ``gt`` and predictions ``pred``."""

    def make(persons=(2, 1, 0, 3), noise=8.0):
        import fiftyone as fo

        from clickpose_fiftyone.skeletons import set_skeleton

        samples = []
        for index, count in enumerate(persons):
            pairs = [person_labels(rng, noise) for _ in range(count)]
            sample = fo.Sample(
                f"/nowhere/{index}.jpg", metadata=fo.ImageMetadata(width=IMAGE_WH[0], height=IMAGE_WH[1])
            )
            sample["gt"] = fo.Keypoints(keypoints=[truth for truth, _ in pairs])
            sample["pred"] = fo.Keypoints(keypoints=[prediction for _, prediction in pairs])
            samples.append(sample)
        dataset = new_dataset(*samples)
        dataset.add_dynamic_sample_fields()
        for field in ("gt", "pred"):
            set_skeleton(dataset, field)
        return dataset

    return make


@pytest.fixture
def label_studio(monkeypatch):
    """A stand-in for Label Studio; no backend runs beside it."""
    from clickpose_fiftyone import labelstudio_pose, labelstudio_project
    from helpers.fake_label_studio import FakeLabelStudio

    fake = FakeLabelStudio()
    monkeypatch.setattr(labelstudio_pose, "LabelStudioClient", fake)
    monkeypatch.setattr(labelstudio_project, "_local_backends", lambda url: [])
    return fake


@pytest.fixture
def sendable(person_dataset, tmp_path):
    """Five predicted people with linked boxes, on photos that exist."""
    import fiftyone as fo

    dataset = person_dataset((2, 2, 1))
    paths = [str(tmp_path / f"{index}.jpg") for index in range(3)]
    for path in paths:
        Image.new("RGB", (640, 480)).save(path)
    dataset.set_values("filepath", paths)
    for sample in dataset:
        links = [fo.Instance() for _ in sample.pred.keypoints]
        for label, link in zip(sample.pred.keypoints, links, strict=True):
            label.instance = link
        sample["pred_boxes"] = fo.Detections(
            detections=[
                fo.Detection(label="person", bounding_box=label.bounding_box, confidence=label.pred_oks, instance=link)
                for label, link in zip(sample.pred.keypoints, links, strict=True)
            ]
        )
        sample.save()
    return dataset
