"""A database that is gone, going or hung is one error in our words, and may be waited for."""

from __future__ import annotations

import pytest

from domain.errors import RequestRefused, StoreUnavailable
from store import engine as engine_module
from store.engine import create_engine, transaction, until_store_answers

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_RETRY_S", 0.0)


async def test_until_store_answers_asks_again_until_it_does() -> None:
    outages = [StoreUnavailable("gone"), StoreUnavailable("going")]

    async def ask() -> str:
        if outages:
            raise outages.pop()
        return "here"

    assert await until_store_answers(ask) == "here"
    assert not outages


async def test_until_store_answers_passes_any_other_error_on_at_once() -> None:
    asked = []

    async def ask() -> None:
        asked.append(1)
        raise RequestRefused("no")

    with pytest.raises(RequestRefused):
        await until_store_answers(ask)
    assert asked == [1]


async def test_transaction_without_a_server_is_unavailable() -> None:
    engine = create_engine(NOWHERE)
    with pytest.raises(StoreUnavailable):
        async with transaction(engine):
            pytest.fail("there is no server")
    await engine.dispose()
