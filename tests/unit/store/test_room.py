"""A full disk is heard of from whichever engine meets it, and forgotten when nothing meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg.errors
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from domain.errors import StoreFull, StoreUnavailable
from store.engine import _in_our_words
from store.room import REMEMBERED_MS, TOLD_EVERY_MS, Room
from unit.symbol_manager.factories import FakeClock


@contextmanager
def engine_that_fails_with(error: type[Exception]) -> Iterator[None]:
    """One statement of an engine of nobody's, which its driver answers with an error."""

    def connect() -> None:
        raise error("could not extend file\nHINT: Check free disk space.")

    engine = create_engine("postgresql+psycopg://", creator=connect)
    with pytest.raises(OperationalError), engine.connect():
        pass
    yield
    engine.dispose()


def test_full_disk_is_remembered_for_a_while_and_logged_now_and_then() -> None:
    clock = FakeClock()
    room = Room(clock)
    with capture_logs() as logged, room.watched():
        for _ in range(3):
            with engine_that_fails_with(psycopg.errors.DiskFull):
                assert room.is_full
        clock.ms += TOLD_EVERY_MS
        with engine_that_fails_with(psycopg.errors.DiskFull):
            pass
    assert [line["event"] for line in logged] == ["disk_full", "disk_full"]
    assert {line["log_level"] for line in logged} == {"error"}
    clock.ms += REMEMBERED_MS
    assert not room.is_full


def test_other_errors_and_those_after_the_end_are_not_heard() -> None:
    room = Room(FakeClock())
    with room.watched(), engine_that_fails_with(psycopg.errors.ConnectionTimeout):
        assert not room.is_full
    with engine_that_fails_with(psycopg.errors.DiskFull):
        assert not room.is_full


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(psycopg.errors.DiskFull, StoreFull, id="full"),
        pytest.param(psycopg.errors.AdminShutdown, StoreUnavailable, id="gone"),
    ],
)
async def test_full_disk_is_told_from_a_postgres_that_is_away(
    error: type[Exception], kind: type[StoreUnavailable]
) -> None:
    with pytest.raises(StoreUnavailable) as told, _in_our_words():
        raise OperationalError("INSERT", {}, error("no"))
    assert type(told.value) is kind
