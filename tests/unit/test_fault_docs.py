"""The published matrix of faults cites tests that exist, and leaves no row out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "faults.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+) \|$", TEXT, re.MULTILINE)
CITED = sorted(set(re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/.]+)\)", TEXT)))
MEASURED = re.findall(r"^\| `[\w-]+` \| ([^|]+) \|", TEXT, re.MULTILINE)
UNMEASURED = TEXT.partition("No time was measured of ")[2].partition("\n\n")[0]


def functions_of(path: Path) -> set[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse(path.read_text(), path.name)
    return {node.name for node in tree.body if isinstance(node, functions)}


def _numbers(text: str) -> set[int]:
    """Of `4, 21`, `1–3` and `6, 12 and 13`."""
    spans = [span.split("–") for span in re.findall(r"\d+(?:–\d+)?", text)]
    return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


def test_matrix_has_every_row_once() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 31))


@pytest.mark.parametrize(("number", "row"), ROWS, ids=[number for number, _ in ROWS])
def test_row_cites_a_test_by_real_processes(number: str, row: str) -> None:
    assert "](../tests/e2e/faults/" in row, number


def test_row_has_a_time_of_recovery_or_is_said_to_have_none() -> None:
    measured = {number for cell in MEASURED for number in _numbers(cell)}
    unmeasured = _numbers(UNMEASURED)
    assert measured | unmeasured == set(range(1, 31))
    assert not measured & unmeasured


@pytest.mark.parametrize(("name", "path"), CITED, ids=[name for name, _ in CITED])
def test_cited_test_exists(name: str, path: str) -> None:
    assert name in functions_of(ROOT / path)


def test_every_test_named_after_a_row_is_cited_there() -> None:
    cited = {name for name, _ in CITED}
    for path in (ROOT / "tests" / "e2e" / "faults").glob("test_*.py"):
        for name in functions_of(path):
            if name.startswith("test_row_"):
                number = str(int(name.split("_")[2]))
                assert name in cited
                assert name in dict(ROWS)[number]
