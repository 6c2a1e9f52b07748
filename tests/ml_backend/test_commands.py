"""The commands ``serve`` and ``labelstudio …``, against files and a stand-in for Label Studio."""

import io
import json
import re
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from clickpose.data.coco import read_coco_persons
from clickpose.lite.predictor import DEFAULT_FILE
from clickpose.skeleton_io import SKELETONS
from clickpose_labelstudio import commands, label_studio_client, serve
from clickpose_labelstudio.labeling_config import build_labeling_config, parse_labeling_config
from clickpose_labelstudio.launch.folder import DataFolder, FolderLock
from helpers.web_server import canned_server

COCO_FILE = {
    "images": [{"id": 7, "file_name": "a b.jpg", "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "bbox": [10, 20, 100, 200],
            "keypoints": [50.25, 60.5, 2, 55, 58, 1, *([0] * 45)],
        }
    ],
}
RESULTS = [{"image_id": 7, "keypoints": [50, 60, 0.9, *([0] * 48)], "score": 0.8, "bbox": [10, 20, 100, 200]}]


@pytest.fixture
def run(monkeypatch, tmp_path):
    app = typer.Typer()
    app.command("serve")(commands.serve)
    app.add_typer(commands.labelstudio, name="labelstudio")
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "CLICKPOSE_ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def coco_file(tmp_path):
    path = tmp_path / "in.json"
    path.write_text(json.dumps(COCO_FILE))
    return path


def written(path):
    return json.loads(path.read_text())


def test_import_and_export_of_files_are_a_round_trip(run, tmp_path, coco_file):
    imported = run(
        "labelstudio", "import", coco_file, "--kind", "annotations", "--out", tmp_path / "sub" / "tasks.json"
    )
    assert (imported.exit_code, imported.output) == (0, f"1 tasks -> {tmp_path / 'sub' / 'tasks.json'}\n")
    (task,) = written(tmp_path / "sub" / "tasks.json")
    assert task["data"]["image"] == "/data/local-files/?d=a%20b.jpg"

    exported = run("labelstudio", "export", tmp_path / "sub" / "tasks.json", "--out", tmp_path / "coco.json")
    assert exported.output == f"1 persons on 1 images -> {tmp_path / 'coco.json'}\n"
    (annotation,) = written(tmp_path / "coco.json")["annotations"]
    assert annotation["keypoints"] == pytest.approx(COCO_FILE["annotations"][0]["keypoints"])
    assert annotation["bbox"] == pytest.approx([10, 20, 100, 200])


def test_what_is_left_out_is_said_in_a_line_each(run, tmp_path):
    crowd = {"id": 8, "image_id": 7, "category_id": 1, "iscrowd": 1, "bbox": [1, 2, 3, 4]}
    outside = {**COCO_FILE["annotations"][0], "id": 9, "bbox": [-300, 20, 100, 200], "keypoints": [-50, 9, 2] * 17}
    cut = {**COCO_FILE["annotations"][0], "id": 10, "bbox": [-50, 20, 100, 200], "keypoints": [-50, 9, 2] * 17}
    file = tmp_path / "all.json"
    file.write_text(json.dumps({**COCO_FILE, "annotations": [*COCO_FILE["annotations"], crowd, outside, cut]}))
    imported = run("labelstudio", "import", file, "--out", tmp_path / "tasks.json")
    assert imported.output.splitlines() == [
        f"1 tasks -> {tmp_path / 'tasks.json'}",
        "1 boxes cut at the border of their photo, whole again on export",
        "1 crowds not drawn, but back on export",
        "17 joints outside their photo moved to its border, where they were again on export",
        "1 persons outside their photo or of no size not drawn, but back on export",
    ]
    tasks = written(tmp_path / "tasks.json")
    tasks[0]["annotations"] = tasks[0]["predictions"]
    size = {"original_width": 640, "original_height": 480}
    tasks[0]["annotations"][0]["result"].append(
        {"id": "k", "from_name": "keypoint", "value": {"x": 99, "y": 99, "keypointlabels": ["ball"]}, **size}
    )
    tasks.append({"id": 2, "data": {"image": "b.jpg"}, "annotations": []})
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    exported = run("labelstudio", "export", tmp_path / "export.json", "--out", tmp_path / "back.json")
    assert exported.output.splitlines() == [
        f"2 persons on 1 images -> {tmp_path / 'back.json'}",
        "2 crowds and others that were imported and not drawn, back as they were",
        "1 regions belong to nobody (1 of a label that is no joint)",
        "1 tasks without an annotation, left out",
    ]
    yolo = run("labelstudio", "export", tmp_path / "export.json", "--format", "yolo", "--out", tmp_path / "yolo")
    assert yolo.output.splitlines()[1:] == [
        "1 crowds, which YOLO does not know, left out",
        "17 joints outside their photo, written as not labelled",
        "1 persons outside their photo or of no size, left out",
        "1 regions belong to nobody (1 of a label that is no joint)",
        "1 tasks without an annotation, left out",
    ]


def test_files_of_windows_tools_are_read(run, tmp_path, coco_file):
    config = tmp_path / "config.xml"
    config.write_text(build_labeling_config(), encoding="utf-16")
    bom = tmp_path / "bom.json"
    bom.write_text(coco_file.read_text(), encoding="utf-8-sig")
    for name, options in (("tasks.json", []), ("tasks-16.json", ["--config", config])):
        assert (
            run("labelstudio", "import", bom, "--kind", "annotations", "--out", tmp_path / name, *options).exit_code
            == 0
        )
    (tmp_path / "utf16").write_text((tmp_path / "tasks.json").read_text(), encoding="utf-16")
    exported = run("labelstudio", "export", tmp_path / "utf16", "--config", config, "--out", tmp_path / "back.json")
    assert exported.output == f"1 persons on 1 images -> {tmp_path / 'back.json'}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image": "a.jpg", "id": 1, "box": []}], "got a list that begins with an object with 'image', 'id', 'box'"),
        ([{"id": 1, "data": {"image": "a.jpg"}}], "got tasks of Label Studio; export reads those"),
        ([3], "got a list that begins with 3"),
        ({"people": []}, "Expected a COCO keypoint dataset with a list of images in in.json, got one without"),
        (
            {"images": [{"id": 1, "file_name": "a"}], "annotations": {}},
            "a list of annotations in in.json, got an object",
        ),
    ],
)
def test_foreign_files_are_named_for_what_they_are_not(run, tmp_path, content, message):
    (tmp_path / "in.json").write_text(json.dumps(content))
    result = run("labelstudio", "import", "in.json", "--out", "x.json")
    assert (result.exit_code, message in result.output) == (2, True), result.output
    exported = run("labelstudio", "export", "in.json", "--out", "x.json")
    if not (isinstance(content, list) and isinstance(content[0], dict) and "data" in content[0]):
        assert (exported.exit_code, "in.json, " in exported.output) == (2, True), exported.output


def test_an_output_that_would_replace_the_input_is_refused_before_the_work(run, tmp_path, coco_file):
    before = coco_file.read_text()
    result = run("labelstudio", "import", coco_file, "--out", coco_file)
    assert (result.exit_code, "Expected --out to leave the input alone" in result.output) == (2, True)
    result = run("labelstudio", "export", coco_file, "--out", tmp_path)
    assert (result.exit_code, "Expected --out to be a file to write" in result.output) == (2, True)
    assert coco_file.read_text() == before


def test_results_are_no_finished_annotations(run, tmp_path, coco_file):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    options = ["--images", coco_file, "--kind", "annotations", "--out", tmp_path / "tasks.json"]
    result = run("labelstudio", "import", tmp_path / "results.json", *options)
    assert (result.exit_code, "Expected --kind predictions" in result.output) == (2, True)


def test_export_to_yolo(run, tmp_path, coco_file):
    run("labelstudio", "import", coco_file, "--kind", "annotations", "--out", tmp_path / "tasks.json")
    result = run("labelstudio", "export", tmp_path / "tasks.json", "--format", "yolo", "--out", tmp_path / "people")
    assert result.output == f"1 persons on 1 images -> {tmp_path / 'people'}\n"
    numbers = (tmp_path / "people" / "labels" / "a b.txt").read_text().split()
    assert [float(n) for n in numbers[:8]] == pytest.approx(
        [0, 60 / 640, 120 / 480, 100 / 640, 200 / 480, 50.25 / 640, 60.5 / 480, 2]
    )
    assert (tmp_path / "people" / "data.yaml").exists()


@pytest.mark.parametrize(
    ("prefix", "reference"),
    [
        ("s3://bucket/", "s3://bucket/a b.jpg"),
        ("https://images.example.org/", "https://images.example.org/a%20b.jpg"),
        ("/data/local-files/?d=x/", "/data/local-files/?d=x/a%20b.jpg"),
    ],
)
def test_file_names_become_references(run, tmp_path, coco_file, prefix, reference):
    run("labelstudio", "import", coco_file, "--images-prefix", prefix, "--out", tmp_path / "tasks.json")
    (task,) = written(tmp_path / "tasks.json")
    assert task["data"]["image"] == reference
    assert task["predictions"][0]["model_version"] == "coco"


def test_results_are_imported_with_the_images_of_their_coco_file(run, tmp_path, coco_file):
    results = tmp_path / "results.json"
    results.write_text(json.dumps(RESULTS))
    failed = run("labelstudio", "import", results, "--out", tmp_path / "tasks.json")
    assert (failed.exit_code, "Expected --images" in failed.output) == (2, True)
    run("labelstudio", "import", results, "--images", coco_file, "--out", tmp_path / "tasks.json")
    (task,) = written(tmp_path / "tasks.json")
    assert task["predictions"][0]["score"] == pytest.approx(0.8)


@pytest.fixture
def studio():
    with canned_server() as server:
        server.answers["/api/projects/3/"] = (200, {}, json.dumps({"label_config": build_labeling_config()}).encode())
        server.answers["/api/ml/?project=3"] = (200, {}, b"[]")
        yield server


def test_a_live_project_is_read_page_by_page(run, tmp_path, studio, coco_file, monkeypatch):
    run("labelstudio", "import", coco_file, "--kind", "annotations", "--out", tmp_path / "tasks.json")
    (task,) = written(tmp_path / "tasks.json")
    monkeypatch.setattr(label_studio_client, "TASKS_PER_PAGE", 1)
    for page in (1, 2):
        own = {**task, "id": page, "data": {"image": f"/data/upload/3/{page}.jpg"}}
        address = f"/api/tasks/?project=3&fields=all&resolve_uri=False&page={page}&page_size=1"
        studio.answers[address] = (200, {}, json.dumps({"tasks": [own], "total": 2}).encode())
    result = run(
        "labelstudio",
        "export",
        "--project",
        3,
        "--url",
        studio.url(),
        "--api-key",
        "k",
        "--out",
        tmp_path / "coco.json",
    )
    assert result.exit_code == 0, result.output
    assert [image["file_name"] for image in written(tmp_path / "coco.json")["images"]] == ["1.jpg", "2.jpg"]
    assert {request[2]["Authorization"] for request in studio.requests} == {"Token k"}


def test_a_project_that_is_not_there_is_one_sentence(run, tmp_path, studio):
    studio.answers["/api/projects/4/"] = (404, {}, b"{}")
    result = run("labelstudio", "export", "--project", 4, "--url", studio.url(), "--api-key", "k")
    assert (result.exit_code, result.output) == (2, "Expected the number of a project, got 4, which is not there\n")


def has_tasks(studio, *tasks) -> None:
    """Let project 3 have tasks."""
    address = "/api/tasks/?project=3&fields=all&resolve_uri=False&page=1&page_size=100"
    studio.answers[address] = (200, {}, json.dumps({"tasks": tasks, "total": len(tasks)}).encode())


def sent(studio) -> list[tuple[str, str, object]]:
    """Method, path and JSON of the requests that change something."""
    return [(m, path, json.loads(body)) for m, path, _, body in studio.requests if m != "GET"]


def test_photos_that_a_project_lacks_become_tasks(run, studio, coco_file):
    has_tasks(studio)
    studio.answers["/api/projects/3/import"] = (201, {}, b"{}")
    studio.answers["/data/local-files/?d=set/a%20b.jpg"] = (200, {}, b"photo")
    command = ["labelstudio", "import", coco_file, "--project", 3, "--url", studio.url(), "--api-key", "k"]
    result = run(*command)
    assert (result.exit_code, sent(studio)) == (2, [])
    assert "Expected --images-prefix for photos that project 3 does not have (a b.jpg)" in result.output
    result = run(*command, "--images-prefix", "/data/local-files/?d=photos/")
    assert (result.exit_code, sent(studio)) == (2, [])
    assert "nothing at /data/local-files/?d=photos/a%20b.jpg" in result.output
    result = run(*command, "--images-prefix", "/data/local-files/?d=set/")
    assert result.exit_code == 0, result.output
    assert "0 photos were in project 3 already and got predictions; 1 new tasks" in result.output
    ((_, path, posted),) = sent(studio)
    assert path == "/api/projects/3/import" and posted[0]["data"]["file_name"] == "a b.jpg"
    assert posted[0]["data"]["image"] == "/data/local-files/?d=set/a%20b.jpg"


@pytest.mark.parametrize(
    "reference", ["/data/local-files/?d=link-1/set/a%20b.jpg", "/data/upload/3/0f1e2d3c-a%20b.jpg"]
)
def test_photos_that_a_project_has_get_the_people_of_the_file(run, studio, coco_file, reference):
    has_tasks(studio, {"id": 12, "data": {"image": reference, "own": 1}}, {"id": 13, "data": {"image": "s3://b/c.jpg"}})
    for method_path in ("/api/projects/3/import/predictions", "/api/tasks/12/", "/api/tasks/12/annotations/"):
        studio.answers[method_path] = (200, {}, b"{}")
    command = ["labelstudio", "import", coco_file, "--project", 3, "--url", studio.url(), "--api-key", "k"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "1 photos were in project 3 already and got predictions; 0 new tasks" in result.output
    (_, _, told), (_, path, predictions) = sent(studio)
    data = told["data"]
    assert (data["image"], data["own"], data["file_name"], data["coco_image_id"]) == (reference, 1, "a b.jpg", 7)
    assert path.endswith("import/predictions") and [p["task"] for p in predictions] == [12]
    assert {item["type"] for item in predictions[0]["result"]} == {"keypointlabels", "rectanglelabels", "choices"}
    # once more: nothing twice, though Label Studio adds fields of its own
    stored = {**predictions[0], "id": 5, "result": [{**i, "meta": {}} for i in reversed(predictions[0]["result"])]}
    has_tasks(studio, {"id": 12, "data": data, "predictions": [stored]})
    studio.requests.clear()
    result = run(*command)
    assert (result.exit_code, sent(studio)) == (0, [])
    assert "1 photos were in project 3 already and got predictions, 1 of which had them already" in result.output
    result = run(*command, "--kind", "annotations")
    assert [path for _, path, _ in sent(studio)] == ["/api/tasks/12/annotations/"], result.output


def test_a_photo_of_the_same_name_and_another_shape_is_refused(run, studio, coco_file):
    item = {"original_width": 480, "original_height": 640}
    has_tasks(studio, {"id": 12, "data": {"image": "/data/upload/1/a b.jpg"}, "predictions": [{"result": [item]}]})
    result = run("labelstudio", "import", coco_file, "--project", 3, "--url", studio.url(), "--api-key", "k")
    assert (result.exit_code, sent(studio)) == (2, [])
    assert "Expected a b.jpg of 640 x 480 px, as the file says, but the photo of task 12 has 480 x 640" in result.output


def test_names_that_do_not_tell_photos_apart_are_refused(run, studio, coco_file):
    has_tasks(studio, *({"id": n, "data": {"image": f"s3://b/{n}/a b.jpg"}} for n in (1, 2)))
    result = run("labelstudio", "import", coco_file, "--project", 3, "--url", studio.url(), "--api-key", "k")
    assert (result.exit_code, sent(studio)) == (2, [])
    assert "2 whose folders do not tell" in result.output


def test_predictions_that_a_project_does_not_start_from_are_said(run, studio, coco_file):
    project = {"label_config": build_labeling_config(), "model_version": "clickpose-lite"}
    studio.answers["/api/projects/3/"] = (200, {}, json.dumps(project).encode())
    has_tasks(studio, {"id": 12, "data": {"image": "/data/upload/1/a b.jpg"}})
    for path in ("/api/projects/3/import/predictions", "/api/tasks/12/"):
        studio.answers[path] = (200, {}, b"{}")
    result = run("labelstudio", "import", coco_file, "--project", 3, "--url", studio.url(), "--api-key", "k")
    assert "start from the predictions of clickpose-lite; Settings, Annotation has coco" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "either a JSON export or --project"),
        (["import", "in.json"], "either --out or --project"),
        (["export", "bad.json"], "Expected a Label Studio export in bad.json, got no JSON"),
        (["import", "bad.json", "--out", "x.json"], "Expected COCO keypoints or results in bad.json, got no JSON"),
        (["export", "--project", "1", "--url", "http://127.0.0.1:1"], "could not be reached"),
        (["export", "in.json", "--config", "missing.xml"], "missing.xml"),
        (["export", "in.json"], "Expected a list of tasks"),
    ],
)
def test_mistakes_are_one_sentence(run, tmp_path, coco_file, arguments, message):
    (tmp_path / "bad.json").write_text("{")
    result = run("labelstudio", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_what_make_run_has_started_is_found_with_its_key(run, tmp_path, studio, coco_file):
    has_tasks(studio, {"id": 12, "data": {"image": "/data/upload/1/a b.jpg"}})
    for path in ("/api/projects/3/import/predictions", "/api/tasks/12/"):
        studio.answers[path] = (200, {}, b"{}")
    folder = DataFolder(tmp_path / ".clickpose")
    token = folder.credentials().token
    lock = FolderLock(folder)
    lock.acquire()
    lock.announce({"pid": 1, "url": f"{studio.url()}/projects/3/data"})
    assert run("labelstudio", "import", coco_file, "--project", 3).exit_code == 0
    assert {request[2]["Authorization"] for request in studio.requests} == {f"Token {token}"}
    lock.release()
    studio.requests.clear()
    assert run("labelstudio", "import", coco_file, "--project", 3, "--url", studio.url()).exit_code == 0
    assert not any("Authorization" in request[2] for request in studio.requests)


def test_the_key_of_make_run_goes_to_nobody_else(run, tmp_path, studio, coco_file):
    folder = DataFolder(tmp_path / ".clickpose")
    folder.credentials()
    lock = FolderLock(folder)
    lock.acquire()
    lock.announce({"pid": 1, "url": "http://localhost:1/projects/3/data"})
    run("labelstudio", "import", coco_file, "--project", 3, "--url", studio.url())
    lock.release()
    assert not any("Authorization" in request[2] for request in studio.requests)


def test_a_missing_key_is_asked_for(run, studio):
    studio.answers["/api/projects/3/"] = (401, {}, b"{}")
    result = run("labelstudio", "export", "--project", 3, "--url", studio.url())
    assert "wants an API key" in result.output


def test_a_refused_key_is_not_repeated(run, studio):
    studio.answers["/api/projects/3/"] = (401, {}, b"{}")
    result = run("labelstudio", "export", "--project", 3, "--url", studio.url(), "--api-key", "s3cret")
    assert result.exit_code == 2
    assert "refused the API key" in result.output
    assert "s3cret" not in result.output


def test_the_bridge_is_written_where_a_proxy_or_userscript_manager_wants_it(run, tmp_path):
    assert run("labelstudio", "bridge", "--out", tmp_path / "new" / "bridge.js").exit_code == 0
    script = (tmp_path / "new" / "bridge.js").read_text()
    assert script.startswith("window.__clickposeConfig = ")
    printed = run("labelstudio", "bridge", "--match", "https://ls.example.org/*").output
    assert "@match        https://ls.example.org/*" in printed and printed.rstrip().endswith(script.rstrip())
    (tmp_path / "file").write_text("")
    refused = run("labelstudio", "bridge", "--out", tmp_path / "file" / "bridge.js")
    assert (refused.exit_code, "cannot be written" in refused.output) == (2, True)


@pytest.fixture
def served(monkeypatch):
    calls = []
    monkeypatch.setattr(serve, "run_server", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(serve, "configure_logging", lambda level: None)
    monkeypatch.setattr(commands.signal, "signal", lambda *arguments: None)
    return calls


def test_serve_puts_options_over_the_environment(run, served, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "from the environment")
    monkeypatch.setenv("CLICKPOSE_ALLOWED_HOSTS", "a.example.org")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://environment:8080")
    result = run(
        "serve", "--port", 9191, "--label-studio-url", "http://option:8080", "--local-root", tmp_path, "--threads", 3
    )
    assert result.exit_code == 0, result.output
    ((settings, host, port, threads),) = served
    assert (host, port, threads) == ("127.0.0.1", 9191, 3)
    assert settings.label_studio_url == "http://option:8080"
    assert settings.label_studio_api_key == "from the environment"
    assert settings.allowed_hosts == ("a.example.org",)
    assert settings.local_roots == (tmp_path,)


@pytest.mark.parametrize(
    ("variable", "option", "flip_test"),
    [("", None, True), ("no", None, False), ("no", "--flip-test", True), ("", "--no-flip-test", False)],
)
def test_serve_leaves_the_flip_test_out_where_it_is_told_to(run, served, monkeypatch, variable, option, flip_test):
    monkeypatch.setenv("CLICKPOSE_FLIP_TEST", variable)
    assert run("serve", *[option] * (option is not None)).exit_code == 0
    assert served[0][0].flip_test is flip_test


def test_serve_explains_bad_settings(run, served):
    result = run("serve", "--label-studio-url", "localhost")
    assert (result.exit_code, served) == (2, [])
    assert "Expected label_studio_url such as" in result.output
    result = run("serve", "--model", "r50")
    assert (result.exit_code, served) == (2, [])
    assert "Expected a checkpoint for the network r50, got none" in result.output


def test_help_shows_examples(run):
    text = re.sub(r"\s+", " ", run("serve", "--help").output)
    assert "clickpose serve --host 0.0.0.0" in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark_are_read(run, tmp_path, coco_file, encoding):
    coco_file.write_bytes(coco_file.read_text(encoding="utf-8").encode(encoding))
    (tmp_path / "config.xml").write_bytes(build_labeling_config().encode(encoding))
    result = run("labelstudio", "import", str(coco_file), "--config", "config.xml", "--out", "tasks.json")
    assert result.exit_code == 0, result.output


def test_a_configuration_that_fits_is_printed(run):
    assert parse_labeling_config(run("labelstudio", "config").output).label_by_joint[9] == "left_wrist"
    mpii = SKELETONS["mpii"]
    config = parse_labeling_config(run("labelstudio", "config", "--skeleton", "mpii").output, mpii)
    assert list(config.joint_by_label) == list(mpii.names)
    refused = run("labelstudio", "config", "--skeleton", "nowhere.yaml")
    assert refused.exit_code == 2 and "nowhere.yaml" in refused.output


@pytest.fixture
def labelled_project(run, tmp_path, studio, coco_file):
    """Project 3 of the canned Label Studio has one labelled task, with its photo."""
    run("labelstudio", "import", coco_file, "--kind", "annotations", "--out", tmp_path / "tasks.json")
    (task,) = written(tmp_path / "tasks.json")
    tasks = [{**task, "id": 1, "data": {"image": "/data/upload/3/a.png"}}]
    address = "/api/tasks/?project=3&fields=all&resolve_uri=False&page=1&page_size=100"
    studio.answers[address] = (200, {}, json.dumps({"tasks": tasks, "total": 1}).encode())
    png = io.BytesIO()
    Image.new("RGB", (640, 480), "navy").save(png, format="PNG")
    studio.answers["/data/upload/3/a.png"] = (200, {}, png.getvalue())
    return studio


def test_training_on_a_project_fetches_labels_and_photos_once(run, tmp_path, labelled_project, monkeypatch):
    calls = []

    def train(plan):
        calls.append(plan)
        if len(calls) == 2:
            (plan.out / "lite.safetensors").write_bytes(b"weights")
        return plan.out / "lite.safetensors"

    monkeypatch.setattr("clickpose.lite.team_learning.train_lite", train)
    arguments = ["labelstudio", "train", "--project", 3, "--url", labelled_project.url(), "--api-key", "k"]
    arguments += ["--out", "runs/mine", "--decoder-steps", 5]
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    assert "project 3: 1 persons on 1 photos" in first.output
    assert f"wrote {Path('runs/mine/lite.safetensors')}" in first.output
    (record,) = read_coco_persons(tmp_path / "runs" / "mine" / "data")
    assert record.keypoints[0].tolist() == pytest.approx([50.25, 60.5])
    assert record.image_path.is_file()
    assert {request[2].get("Authorization") for request in labelled_project.requests} == {"Token k"}

    labelled_project.requests.clear()
    stopped = run(*arguments)  # no weights came out: it goes on, with the labels that it has
    assert "going on with the labels" in stopped.output
    assert labelled_project.requests == []
    assert calls[0] == calls[1]
    assert (calls[0].start, calls[0].out, calls[0].skeleton.name) == (DEFAULT_FILE, Path("runs/mine"), "coco")
    assert (calls[0].trunk.steps, calls[0].decoder.steps, calls[0].keep) == (60, 5, 0.5)
    assert calls[0].trust_labels
    assert [(folder.path, folder.views) for folder in calls[0].folders] == [(Path("runs/mine/data"), 16)]  # one person
    finished = run(*arguments)
    assert (finished.exit_code, "which holds finished weights" in finished.output) == (2, True)


def test_training_on_nothing_is_one_sentence(run, labelled_project):
    labelled_project.answers["/api/tasks/?project=3&fields=all&resolve_uri=False&page=1&page_size=100"] = (
        200, {}, b'{"tasks": [], "total": 0}',
    )  # fmt: skip
    result = run("labelstudio", "train", "--project", 3, "--url", labelled_project.url(), "--api-key", "k")
    assert result.exit_code == 2
    assert "Expected people labelled in the project, found none on 0 labelled tasks\n" in result.output
