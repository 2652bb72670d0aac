"""The table of defences cites tests that exist, and the source has none of what it denies."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: They run what they read.
EXECUTING = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
ROWS = [
    line.strip("|").split("|")
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| what ")
]
CITED = sorted({name for row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row[-1])})


def test_every_defence_cites_a_test() -> None:
    assert len(ROWS) >= 15
    assert [row[0] for row in ROWS if not re.search(r"`tests/[^`]+::test_\w+`", row[-1])] == []


@pytest.mark.parametrize("cited", CITED)
def test_cited_test_exists(cited: str) -> None:
    file, _, name = cited.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in tree.body if isinstance(node, functions)}


def test_product_imports_nothing_that_executes_data() -> None:
    imported: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        names = imported.setdefault(path.relative_to(ROOT).as_posix(), set())
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import():
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                case ast.ImportFrom():
                    names.add((node.module or "").partition(".")[0])
                case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                    names.add(name)
    assert "dbos" in set().union(*imported.values())
    assert {path for path, names in imported.items() if names & {*EXECUTING, "eval", "exec"}} == (
        set()
    )
