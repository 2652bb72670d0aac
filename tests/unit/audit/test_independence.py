"""An auditor that shares code with what it audits would share its mistakes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3] / "src" / "audit"
ALLOWED = {"audit", "aiohttp", "psycopg"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name.split(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]


def test_auditor_imports_nothing_of_the_project() -> None:
    paths = sorted(SOURCES.rglob("*.py"))
    assert len(paths) > 10

    found = {name for path in paths for name in imported(path)}

    assert found - sys.stdlib_module_names == ALLOWED
