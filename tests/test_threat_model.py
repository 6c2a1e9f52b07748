"""The threat model names a test for each line; they are there, and so is what the page stands in."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text(encoding="utf-8")
LINES = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| who")]
WHO = {"stranger", "annotator", "host", "page", "disk"}


@pytest.mark.parametrize("line", LINES, ids=[line.split("|")[2].strip() for line in LINES])
def test_each_line_names_tests_that_exist(line):
    who, _, _, tests = (part.strip() for part in line.strip("|").split("|"))
    assert who in WHO
    named = re.findall(r"`(tests/[\w/]+\.py)::(\*|test_\w+)`", tests)
    assert named and len(named) == tests.count("`") // 2, tests
    for file, name in named:
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert found if name == "*" else name in found, (file, name)


def test_it_is_a_page_of_the_site_and_names_everybody():
    assert "\nthreat-model\n" in (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    assert {line.split("|")[1].strip() for line in LINES} == WHO
    assert len(PAGE.split()) < 1400  # one page
