"""Answers that are shown again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import cli.watch
from cli.session import Session
from cli.watch import answer, repeat
from domain.errors import StoreUnavailable
from orchestrator.bootstrap import Database

T = TypeVar("T")


class Enough(Exception):
    """The test has seen what it waits for."""


async def test_repeat_shows_each_answer_anew() -> None:
    shown: list[int] = []

    async def look() -> int:
        if len(shown) == 3:
            raise Enough
        return len(shown)

    with pytest.raises(Enough):
        await repeat(look, shown.append, 0.0)
    assert shown == [0, 1, 2]


async def test_repeat_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.engine._RETRY_S", 0.0)
    asked = 0

    async def look() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise StoreUnavailable("restarting")
        return "there"

    def show(found: str) -> None:
        assert found == "there"
        raise Enough

    with pytest.raises(Enough):
        await repeat(look, show, 0.0)
    assert asked == 2


@pytest.mark.parametrize("every_s", [None, 0.001])
def test_answer_ends_well_once_or_with_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, every_s: float | None
) -> None:
    shown: list[str] = []

    def with_database(session: Session, work: Callable[[Database | None], Awaitable[T]]) -> T:
        async def use() -> T:
            return await work(None)

        return asyncio.run(use())

    async def look(database: Database) -> str:
        if len(shown) == 2:
            raise KeyboardInterrupt
        return "found"

    monkeypatch.setattr(cli.watch, "with_database", with_database)
    answer(Session(), every_s, look, shown.append)
    assert len(shown) == (1 if every_s is None else 2)
