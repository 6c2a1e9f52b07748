"""``deploy/``: what stands in it fits together, and its very commands run a Label Studio on PostgreSQL."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import yaml
from PIL import Image

from clickpose_labelstudio.label_studio_client import LabelStudioClient
from clickpose_labelstudio.launch.bridge_script import TRIED_LABEL_STUDIO
from clickpose_labelstudio.launch.processes import Child, answers, free_port
from clickpose_labelstudio.learning.journal import Journal
from clickpose_labelstudio.settings import ServiceSettings

REPOSITORY = Path(__file__).resolve().parents[1]
DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
LABEL_STUDIO = Path(
    os.environ.get("CLICKPOSE_LABEL_STUDIO_PYTHON", REPOSITORY / ".venv-labelstudio" / "bin" / "python")
).parent
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
POSTGRESQL = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def test_every_service_has_what_it_names():
    made = set(re.findall(r"[A-Z_]{8,}", re.search(r"for name in (.*?); do", _text("make-secrets.sh"), re.S)[1]))
    assert {name: Path(secret["file"]).name for name, secret in COMPOSE["secrets"].items()} == {n: n for n in made}
    assert {name for service in SERVICES.values() for name in service.get("secrets", ())} == made
    for name, service in SERVICES.items():
        sources = [volume.split(":")[0] for volume in service.get("volumes", ())]
        for source in sources:
            if source.startswith("./"):
                assert (DEPLOY / source).is_file(), (name, source)
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"], (name, source)
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert ("build" in service) or re.search(r":\d+\.\d+(\.\d+)?-", service["image"]), "versions are pinned"
        assert service.get("healthcheck") or service["restart"] == "no"
        if "build" in service:
            context = (DEPLOY / service["build"]["context"]).resolve()
            dockerfile = context / service["build"]["dockerfile"]
            assert "USER app" in dockerfile.read_text(encoding="utf-8")  # nothing runs as root


def test_settings_are_those_that_the_programs_read():
    variables = set(ServiceSettings(cache_dir=Path("x")).to_environment()) | {
        "CLICKPOSE_TRAIN_DIR", "CLICKPOSE_CHECKPOINT", "CLICKPOSE_REPLAY_DIR", "CLICKPOSE_CA_BUNDLE",
    }  # fmt: skip
    asked = {name for name in SERVICES["backend"]["environment"] if name.startswith(("CLICKPOSE_", "LABEL_"))}
    assert asked | set(SERVICES["backend"]["secrets"]) <= variables
    assert f"label-studio=={TRIED_LABEL_STUDIO[-1]}" in _text("label-studio.Dockerfile")
    used = set(re.findall(r"\$\{(\w+)", _text("compose.yaml")))
    assert used == set(re.findall(r"^(\w+)=", _text("settings.example"), re.M))


def test_nginx_delivers_the_bridge_as_the_tried_snippet_does():
    def directives(text: str) -> list[str]:
        return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]

    tried = directives((REPOSITORY / "ml_backend" / "bridge" / "nginx.conf").read_text(encoding="utf-8"))
    ours = directives(_text("nginx.conf").replace("http://label-studio:8080", "http://127.0.0.1:8080"))
    start = ours.index(tried[0])
    assert ours[start : start + len(tried)] == tried


def test_secrets_are_made_once_for_their_owner_alone_and_reach_the_program_alone(tmp_path):
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "make-secrets.sh", folder], check=True, capture_output=True)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o077 == 0 and len(set(first.values())) == 6
    assert all(re.fullmatch("[0-9a-f]{40}", value) for value in first.values())
    (folder / "SECRET_KEY").unlink()
    subprocess.run([DEPLOY / "make-secrets.sh", folder], check=True, capture_output=True)
    again = {path.name: path.read_text() for path in folder.iterdir()}
    assert again.pop("SECRET_KEY") != first.pop("SECRET_KEY") and again == first
    shown = subprocess.run(
        [DEPLOY / "with-secrets.sh", "printenv", "POSTGRE_PASSWORD"], env={"SECRETS_DIR": str(folder), **os.environ},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.stdout.strip() == first["POSTGRE_PASSWORD"]


def _text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


class Team:
    """The services of ``compose.yaml`` as processes of this machine: their commands and variables, other addresses."""

    def __init__(self, folder: Path, cleanup: ExitStack):
        self.folder, self.cleanup = folder, cleanup
        self.children: dict[str, Child] = {}
        self.begun: dict[str, tuple[list, dict]] = {}
        ports = [free_port(21000 + os.getpid() % 500)]
        while len(ports) < 4:
            ports.append(free_port(ports[-1] + 1))
        self.database, self.label_studio, self.backend, self.nginx = ports
        self.url = f"http://localhost:{self.nginx}"
        subprocess.run([DEPLOY / "make-secrets.sh", folder / "secrets"], check=True, capture_output=True)
        for name in ("photos", "bridge", "label-studio", "backend"):
            (folder / name).mkdir()

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()

    def environment(self, service: str, data: str) -> dict[str, str]:
        """What compose gives to a service, with the addresses and folders of this machine."""
        chosen = {"PUBLIC_URL": self.url, "ADMIN": "admin@example.org"}
        wanted = {}
        for name, value in SERVICES[service]["environment"].items():
            value = re.sub(
                r"\$\{(\w+)(?::[-?]([^}]*))?\}",
                lambda m: chosen.get(m[1], m[2] if m[2] is not None else ""),
                str(value),
            )
            for there, here in (
                ("http://label-studio:8080", f"http://127.0.0.1:{self.label_studio}"),
                ("/data", str(self.folder / data)),
                ("/photos", str(self.folder / "photos")),
            ):
                value = value.replace(there, here)
            wanted[name] = value
        secrets = self.folder / f"secrets-of-{service}"
        secrets.mkdir(exist_ok=True)
        for name in SERVICES[service]["secrets"]:
            shutil.copy(self.folder / "secrets" / name, secrets)
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "HOME", "LANG") if name in os.environ}
        path = os.pathsep.join([str(LABEL_STUDIO if service == "label-studio" else Path(sys.executable).parent),
                                str(DEPLOY), os.environ["PATH"]])  # fmt: skip
        return {**kept, "PATH": path, "SECRETS_DIR": str(secrets), **wanted}

    def run(self, name: str, command: list, environment: dict) -> Child:
        self.begun[name] = (command, environment)
        self.children[name] = child = Child(name, command, environment, self.folder / f"{name}.log")
        self.cleanup.callback(child.stop)
        return child

    def start(self, name: str, command: list, environment: dict, patience_s: float = 300) -> None:
        """Start a service, and wait until its own health check says that it is well."""
        child = self.run(name, command, environment)
        port = {"label-studio": self.label_studio, "backend": self.backend, "nginx": self.nginx}[name]
        kind, *check = SERVICES[name]["healthcheck"]["test"]
        check = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
        check = [
            part.replace("$$", "$").replace("/run/secrets", str(self.folder / "secrets"))
            for part in (re.sub(r"localhost:\d+", f"127.0.0.1:{port}", part) for part in check)
        ]
        deadline = time.monotonic() + patience_s
        while subprocess.run(check, capture_output=True).returncode != 0:
            child.check_alive()
            assert time.monotonic() < deadline, (name, child.last_words())
            time.sleep(0.3)


@contextmanager
def postgresql(folder: Path, port: int, password: str):
    """Run a database as the image of ``compose.yaml`` makes it; PostgreSQL refuses to run as root."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    (folder / "password").write_text(password)
    data = folder / "data"
    subprocess.run(
        [*user, POSTGRESQL / "initdb", "--pgdata", data, "--username", "labelstudio", "--pwfile", folder / "password",
         "--auth", "scram-sha-256", "--encoding", "UTF8"], check=True, capture_output=True,
    )  # fmt: skip
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [*user, POSTGRESQL / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    environment = {**os.environ, "PGPASSWORD": password}
    try:
        make = [POSTGRESQL / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "labelstudio", "labelstudio"]
        for _ in range(100):
            if subprocess.run(make, env=environment, capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def team():
    missing = [
        what
        for what, path in (("Label Studio", LABEL_STUDIO / "gunicorn"), ("nginx", NGINX), ("PostgreSQL", POSTGRESQL))
        if path is None or not Path(path).exists()
    ]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}")
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clickpose-team-")))
        folder.chmod(0o755)  # the database's user has to come through, as it does not in pytest's own folders
        team = Team(folder, cleanup)
        cleanup.enter_context(postgresql(folder / "database", team.database, team.secret("POSTGRE_PASSWORD")))
        environment = {
            **team.environment("label-studio", "label-studio"),
            "POSTGRE_HOST": "127.0.0.1", "POSTGRE_PORT": str(team.database),
            "WORKERS": "1", "PORT": str(team.label_studio),
        }  # fmt: skip
        team.start("label-studio", ["with-secrets.sh", "label-studio.sh"], environment)
        command = [
            re.sub(r"\$\{\w+:-(\d+)\}", r"\1", part).replace("0.0.0.0:9090", f"127.0.0.1:{team.backend}")
            for part in SERVICES["backend"]["command"]
        ]
        environment = team.environment("backend", "backend")
        team.start("backend", ["with-secrets.sh", *command], environment)
        bridge = [part.replace("/bridge/", f"{folder}/bridge/") for part in SERVICES["bridge"]["command"]]
        subprocess.run(bridge, env=environment, check=True, capture_output=True)
        trainer = [part.replace("/data", str(folder / "backend")).replace("${TRAIN_AFTER:-50}", "50")
                   for part in SERVICES["trainer"]["command"]]  # fmt: skip
        team.run("trainer", ["with-secrets.sh", *trainer], environment)
        configuration = _text("nginx.conf")
        for there, here in (
            ("listen 8080", f"listen 127.0.0.1:{team.nginx}"),
            ("http://label-studio:8080", f"http://127.0.0.1:{team.label_studio}"),
            ("/etc/nginx/clickpose", str(folder / "bridge")),
        ):
            assert there in configuration
            configuration = configuration.replace(there, here)
        temporary = "".join(
            f"{k}_temp_path {folder / k};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user}daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'error.log'};\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}{configuration}}}\n"
        )
        team.start("nginx", [NGINX, "-p", folder, "-c", folder / "nginx.conf"], dict(os.environ))
        yield team


def _lose_everything_and_restore_it(team, number: int) -> None:
    """Back up as the service `backup` does, drop the database, delete journal and media, and have it all back."""
    address = f"postgresql://labelstudio@127.0.0.1:{team.database}/labelstudio"
    places = {"/data": team.folder / "backend", "/label-studio": team.folder / "label-studio"}
    command = []
    for part in SERVICES["backup"]["command"]:
        part = re.sub(r"^/backups/.*", str(team.folder / "a.backup"), part)
        part = re.sub(r"^(/data|/label-studio)", lambda m: str(places[m[1]]), part)
        command.append(address if part.startswith("postgresql:") else part)
    environment = team.environment("backup", "backend")
    environment["PATH"] = os.pathsep.join([str(POSTGRESQL), environment["PATH"]])
    said = subprocess.run(["with-secrets.sh", *command], env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0 and "database (1 file)" in said.stdout, said.stderr
    held = (team.folder / "a.backup").read_bytes()
    told = {"LABEL_STUDIO_API_KEY"}  # a token of Label Studio's own database
    assert not [name for name in COMPOSE["secrets"] if team.secret(name).encode() in held and name not in told]
    again = [*command[:2], "restore", *command[3:]]
    said = subprocess.run(["with-secrets.sh", *again], env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode != 0 and "nothing was changed" in said.stderr, said.stderr
    known = {**os.environ, "PGPASSWORD": team.secret("POSTGRE_PASSWORD")}
    where = ["-h", "127.0.0.1", "-p", str(team.database), "-U", "labelstudio"]
    subprocess.run([POSTGRESQL / "dropdb", "--force", *where, "labelstudio"], env=known, check=True)
    subprocess.run([POSTGRESQL / "createdb", *where, "labelstudio"], env=known, check=True)
    for name in ("trainer", "backend"):
        team.children[name].stop()
    shutil.rmtree(team.folder / "backend" / "learning")
    shutil.rmtree(team.folder / "label-studio")
    said = subprocess.run(["with-secrets.sh", *again], env=environment, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    with LabelStudioClient(team.url, team.secret("LABEL_STUDIO_API_KEY")) as api:
        (task,) = api.tasks(number, fields="all")
        assert len(task["annotations"]) == 1 and len(task["predictions"]) == 1
    journal = Journal(team.folder / "backend" / "learning")
    assert len(journal.entries(number)) == 1
    journal.close()
    team.start("backend", *team.begun["backend"])
    team.run("trainer", *team.begun["trainer"])


@pytest.mark.slow
def test_its_commands_run_a_team(team):
    """Label Studio on PostgreSQL behind nginx; a project, its predictions, an annotation that the journal keeps."""
    page = requests.get(f"{team.url}/user/login/", timeout=60)
    assert page.status_code == 200 and page.text.count('<script src="/clickpose/bridge.js" defer>') == 1
    assert requests.get(f"{team.url}/clickpose/bridge.js", timeout=60).text.startswith("window.__clickposeConfig")
    environment = team.environment("backend", "backend")
    said = subprocess.run(
        ["with-secrets.sh", "clickpose", "labelstudio", "setup", "--title", "Skaters", "--backend",
         f"http://127.0.0.1:{team.backend}"], env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    number = int(re.search(r"Project (\d+), “Skaters”", said.stdout)[1])
    photo = REPOSITORY / "ml_backend" / "clickpose_labelstudio" / "demo" / "astronaut.jpg"
    served = team.folder / "photos" / "skaters"  # Label Studio serves folders below its root, not the root itself
    served.mkdir()
    Image.open(photo).resize((256, 256)).save(served / "a.jpg")
    with LabelStudioClient(team.url, team.secret("LABEL_STUDIO_API_KEY")) as api:
        (backend,) = api.backends(number)
        assert backend["is_interactive"] and backend["state"] == "CO" and backend["auth_method"] == "BASIC_AUTH"
        api.create_local_storage(
            project=number, recursive_scan=True, title="photos", path=str(served),
            regex_filter="(?!)", use_blob_urls=True,
        )  # fmt: skip
        api.import_tasks(number, [{"data": {"image": "/data/local-files/?d=skaters/a.jpg"}}])
        (task,) = api.tasks(number)
        api.predict(number, [task["id"]])
        (task,) = api.tasks(number, fields="all")
        (prediction,) = task["predictions"]
        assert len(prediction["result"]) > 10 and prediction["model_version"].startswith("clickpose-lite")
        api.create_annotation(task["id"], result=prediction["result"])
    journal = Journal(team.folder / "backend" / "learning")
    deadline = time.monotonic() + 60
    while not (journal.apply_pending(), journal.entries(number))[1] and time.monotonic() < deadline:
        time.sleep(0.3)
    assert len(journal.entries(number)) == 1
    journal.close()
    _lose_everything_and_restore_it(team, number)
    assert not answers(f"http://127.0.0.1:{team.backend}/predict")  # nobody without the login
    for child in team.children.values():
        child.check_alive()
    for log in team.folder.glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [name for name in COMPOSE["secrets"] if team.secret(name) in text], log.name
