"""What the documentation says is there: links, commands with their options, and the site builds without a warning."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main

from clickpose.cli import app

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "ml_backend", "models/clickpose/weights", "plugins")
GENERATED = REPOSITORY / "docs" / "commands.md"  # by docs/conf.py
PAGES = sorted(
    path
    for path in [*REPOSITORY.glob("*.md"), *(p for folder in FOLDERS for p in (REPOSITORY / folder).rglob("*.md"))]
    if path != GENERATED and "_build" not in path.parts
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.*)$", re.M)
FENCE = re.compile(r"^(```+|:::+).*?^\1\s*$", re.M | re.S)


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def anchors(page: Path) -> set[str]:
    """Anchors that a page's headings have on the usual hosts."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue  # an address elsewhere
        place, _, anchor = target.partition("#")
        file = page.parent / unquote(place) if place else page
        assert file.exists() or file.resolve() == GENERATED, f"{named(page)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{named(page)} links to {target}: no such heading"


def commands_of(page: Path) -> list[str]:
    """Calls of ``clickpose`` in a page: lines of its blocks of code, and those within sentences that give options."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for block in FENCE.findall(text) and re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)]
    lines = [line.partition(" # ")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += [line for line in text.splitlines() if line.startswith("    clickpose ")]
    lines += re.findall(r"`((?:\w+=\S+ )*clickpose [^`]*)`", text)
    return [line.strip() for line in lines if re.match(r"\s*(?:[A-Z_]+=\S+ )*clickpose ", line)]


CALLS = sorted({(named(page), call) for page in PAGES if page.name != "CHANGELOG.md" for call in commands_of(page)})


def test_the_pages_show_commands():
    assert len(CALLS) > 25  # else the patterns above find nothing any more


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_commands_and_their_options_exist(page, call):
    words = shlex.split(re.sub(r"[<>…]", "", call))
    words = words[words.index("clickpose") + 1 :]
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: there is no {words[0]} in {call}"
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - known
    assert not unknown, f"{page}: {call}"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="needs the docs extra")
    pytest.importorskip("furo", reason="needs the docs extra")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", tmp_path]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "annotators.html").read_text(encoding="utf-8")
    assert "bones on or off" in text  # of the README of the backend: parts are found by their headings
    assert "keypoint_oks" in (tmp_path / "api" / "models" / "clickpose.metrics.html").read_text(encoding="utf-8")
