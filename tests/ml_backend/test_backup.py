"""Backup and restore: everything comes back after the rest was deleted; what is damaged or hostile changes nothing."""

import io
import json
import os
import shutil
import stat
import tarfile
import threading

import pytest
from typer.testing import CliRunner

from clickpose_labelstudio.backup.archive import CONTENTS, FORMAT, BackupError, check_backup
from clickpose_labelstudio.backup.sources import Places, back_up, restore
from clickpose_labelstudio.commands import labelstudio
from clickpose_labelstudio.learning.events import read_events
from clickpose_labelstudio.learning.journal import JOURNAL, Journal
from clickpose_labelstudio.learning.versions import WEIGHTS, Versions
from clickpose_labelstudio.settings import ServiceSettings
from helpers.labelled import annotation, person, webhook

POSE = person("cp-a", {"nose": (50, 20)})


@pytest.fixture
def team(tmp_path):
    """A folder of what was learned, with versions, a job and leftovers, and Label Studio's folder."""
    learning, studio = tmp_path / "learning", tmp_path / "label-studio"
    journal = Journal(learning)
    for number in range(1, 6):
        journal.append(read_events(webhook(annotation(POSE, POSE, number=number))))
    journal.apply_pending()
    versions = Versions(learning, 7)
    for text in ("a", "b"):
        versions.add(lambda place, text=text: (place / WEIGHTS).write_text(text) and {"persons": 5})
    versions.use(1, "better")
    job = learning / "project-7" / "1"
    (job / "data" / "images").mkdir(parents=True)
    (job / "data" / "images" / "a.jpg").write_text("fetched again")
    (job / "log.txt").write_text("trained")
    (studio / "media" / "upload" / "3").mkdir(parents=True)
    (studio / "media" / "upload" / "3" / "photo ä.jpg").write_bytes(b"\xff\xd8" * 50_000)
    (studio / ".env").write_text("SECRET_KEY=never")
    os.symlink("/etc/passwd", studio / "media" / "link")
    yield Places(learning=learning, label_studio=studio), journal
    journal.close()


def settings(tmp_path):
    checkpoint = tmp_path / "own.safetensors"
    checkpoint.write_text("weights")
    checkpoint.with_name("own.calibration.json").write_text("{}")
    return ServiceSettings(
        cache_dir=tmp_path / "cache", checkpoint=checkpoint, label_studio_api_key="very-secret-key",
        basic_auth_user="u", basic_auth_password="very-secret-password", webhook_secret="very-secret-address",
    )  # fmt: skip


def test_everything_comes_back_after_the_rest_was_deleted(team, tmp_path):
    places, journal = team
    parts = back_up(tmp_path / "a.backup", places, settings(tmp_path))
    assert parts == {"learning": 7, "checkpoint": 2, "label-studio": 1}
    journal.close()
    for folder in (places.learning, places.label_studio):
        shutil.rmtree(folder)
    places.label_studio.mkdir()  # such as an empty volume
    assert restore(tmp_path / "a.backup", places) == parts
    again = Journal(places.learning)
    assert [entry.annotation for entry in again.entries(7)] == [1, 2, 3, 4, 5]
    assert again.body(3)["result"] == POSE and again.append(read_events(webhook(annotation(POSE, POSE)))) == 0
    again.close()
    versions = Versions(places.learning, 7)
    assert [v.number for v in versions.all()] == [0, 1, 2] and versions.live().weights.read_text() == "a"
    versions.live().check()
    assert (places.learning / "project-7" / "1" / "log.txt").read_text() == "trained"
    assert not (places.learning / "project-7" / "1" / "data").exists()
    assert (places.label_studio / "media" / "upload" / "3" / "photo ä.jpg").stat().st_size == 100_000
    assert sorted(path.name for path in (places.learning / "restored-checkpoint").iterdir()) == [
        "own.calibration.json", "own.safetensors",
    ]  # fmt: skip
    assert "CLICKPOSE_BASIC_AUTH_USER=u" in (places.learning / "restored-settings" / "settings.env").read_text()
    assert not [path for path in tmp_path.rglob("*") if "restoring" in path.name or "partial" in path.name]


def test_no_secret_is_in_it_unless_asked_and_only_its_owner_reads_it(team, tmp_path):
    places, _ = team
    back_up(tmp_path / "a.backup", places, settings(tmp_path))
    data = (tmp_path / "a.backup").read_bytes()
    assert b"very-secret" not in data and b"never" not in data and b"root:" not in data
    assert stat.S_IMODE((tmp_path / "a.backup").stat().st_mode) == 0o600
    back_up(tmp_path / "b.backup", places, settings(tmp_path), with_secrets=True)
    data = (tmp_path / "b.backup").read_bytes()
    assert data.count(b"very-secret") == 3 and b"SECRET_KEY=never" in data


def test_it_is_whole_while_annotators_go_on(team, tmp_path):
    places, journal = team
    done, number = threading.Event(), 100

    def work():
        nonlocal number
        while not done.is_set():
            journal.append(read_events(webhook(annotation(POSE, POSE, number=number))))
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    while number < 110:
        assert thread.is_alive()
    back_up(tmp_path / "a.backup", places, settings(tmp_path))
    done.set()
    thread.join()
    elsewhere = Places(learning=tmp_path / "new", label_studio=tmp_path / "new-studio")
    elsewhere.learning.mkdir()  # such as an empty volume
    restore(tmp_path / "a.backup", elsewhere)
    again = Journal(elsewhere.learning)
    again.apply_pending()
    assert {entry.annotation for entry in again.entries(7)} >= {1, 2, 3, 4, 5, *range(100, 110)}
    again.close()


def test_nothing_is_replaced(team, tmp_path):
    places, _ = team
    path = tmp_path / "a.backup"
    back_up(path, places, settings(tmp_path))
    before = path.read_bytes()
    with pytest.raises(BackupError, match="which is there already"):
        back_up(path, places, settings(tmp_path))
    assert path.read_bytes() == before
    new = Places(learning=tmp_path / "new", label_studio=places.label_studio)
    with pytest.raises(BackupError, match=r"Expected a new or empty folder, got .*label-studio; nothing was changed"):
        restore(path, new)
    with pytest.raises(BackupError, match="Expected --label-studio"):
        restore(path, Places(learning=tmp_path / "new"))
    assert not new.learning.exists()
    with pytest.raises(BackupError, match="which is not there"):
        back_up(tmp_path / "c.backup", Places(learning=tmp_path / "nowhere"), settings(tmp_path))
    (places.learning / JOURNAL).write_bytes(b"no database" * 1000)
    for ending in ("-wal", "-shm"):
        (places.learning / f"{JOURNAL}{ending}").unlink(missing_ok=True)
    with pytest.raises(BackupError, match=r"a database in .* that can be read"):
        back_up(tmp_path / "c.backup", places, settings(tmp_path))
    assert not (tmp_path / "c.backup").exists()


def test_what_has_changed_or_is_cut_off_changes_nothing(team, tmp_path):
    places, _ = team
    path, new = tmp_path / "a.backup", Places(learning=tmp_path / "new", label_studio=tmp_path / "new-studio")
    back_up(path, places, settings(tmp_path))
    whole = path.read_bytes()
    at = whole.index(b"\xff\xd8" * 100) + 50
    damages = {"1 files differ": whole[:at] + b"\0" + whole[at + 1 :], "whole backup": whole[: len(whole) // 2]}
    for sentence, data in {**damages, "a whole backup in": b"PK" * 5000, "without its list": b"\0" * 10240}.items():
        path.write_bytes(data)
        with pytest.raises(BackupError, match=sentence):
            restore(path, new)
    assert not new.learning.exists() and not new.label_studio.exists()


HOSTILE = [
    ("../outside", tarfile.REGTYPE), ("/etc/outside", tarfile.REGTYPE), ("learning/../../outside", tarfile.REGTYPE),
    ("learning//a", tarfile.REGTYPE), ("learning/./a", tarfile.REGTYPE), ("learning/a\\b", tarfile.REGTYPE),
    ("learning/c:d", tarfile.REGTYPE), ("learning/link", tarfile.SYMTYPE), ("learning/hard", tarfile.LNKTYPE),
    ("learning/pipe", tarfile.FIFOTYPE), ("learning/device", tarfile.CHRTYPE), ("learning/folder", tarfile.DIRTYPE),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), HOSTILE)
def test_a_hostile_archive_leads_nowhere(tmp_path, name, kind):
    path = tmp_path / "in" / "a.backup"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member, io.BytesIO())
        text = json.dumps({"format": FORMAT, "parts": {"learning": 1}, "files": {}}).encode()
        member = tarfile.TarInfo(CONTENTS)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    with pytest.raises(BackupError, match="plain files with safe names"):
        check_backup(path)
    with pytest.raises(BackupError):
        restore(path, Places(learning=tmp_path / "in" / "new"))
    assert [each.name for each in tmp_path.iterdir()] == ["in"] and not (tmp_path / "in" / "new").exists()


def test_the_commands_say_what_they_hold(team, tmp_path, monkeypatch):
    places, journal = team
    monkeypatch.setenv("CLICKPOSE_WEBHOOK_SECRET", "very-secret")
    where = ["--train-dir", str(places.learning), "--label-studio", str(places.label_studio)]
    said = CliRunner().invoke(labelstudio, ["backup", str(tmp_path / "a.backup"), *where])
    assert said.exit_code == 0 and "learning (7 files), label-studio (1 file)" in said.output, said.output
    assert "Secrets of the settings are not in it" in said.output and "keep the file safe" in said.output
    said = CliRunner().invoke(labelstudio, ["restore", str(tmp_path / "a.backup"), *where])
    assert said.exit_code != 0
    journal.close()
    for folder in (places.learning, places.label_studio):
        shutil.rmtree(folder)
    said = CliRunner().invoke(labelstudio, ["restore", str(tmp_path / "a.backup"), *where])
    assert said.exit_code == 0 and "restored learning (7 files)" in said.output, said.output
