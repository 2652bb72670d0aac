"""Users of a system in trouble: their requests are acknowledged in the end, each once."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from chaos.requests import Request, Verb
from cli.users import Users
from domain.errors import StoreUnavailable
from orchestrator.requests import Progress

SPEC = {"order_size": {"kind": "quote", "amount": "50"}, "budget_quote": "1000"}


class Requests:
    """Refuses every other call, as while Postgres restarts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.specs: list[Any] = []
        self._is_up = True

    async def pause(self, symbol: str, request_id: str) -> str:
        return self._asked("pause", request_id)

    async def resume(self, symbol: str, request_id: str) -> str:
        return self._asked("resume", request_id)

    async def update(self, symbol: str, spec: Mapping[str, Any], request_id: str) -> str:
        self.specs.append(spec)
        return self._asked("update", request_id)

    async def progress(self, workflow_id: str) -> Progress:
        self._asked("progress", workflow_id)
        return Progress(workflow_id, "SUCCESS", {})

    def _asked(self, verb: str, request_id: str) -> str:
        self.calls.append((verb, request_id))
        self._is_up = not self._is_up
        if not self._is_up:
            raise StoreUnavailable("it restarts")
        return request_id


def users(requests: Requests) -> Users:
    return Users(database=cast("Any", SimpleNamespace(requests=requests)), spec=SPEC)


def request(verb: Verb) -> Request:
    return Request(verb=verb, symbol="BTC/USDT", at=0.0, larger_percent=10)


async def test_users_ask_again_by_the_same_id_until_they_are_heard() -> None:
    requests = Requests()
    asking = users(requests)

    await asking.ask(request(Verb.PAUSE))

    (first, again) = requests.calls
    assert first == again
    assert asking.acknowledged == [again[1]]


async def test_users_resume_once_the_pause_is_answered() -> None:
    requests = Requests()
    asking = users(requests)

    await asking.ask(request(Verb.PAUSE))
    await asking.ask(request(Verb.RESUME))

    assert [verb for verb, _ in requests.calls] == [
        *("pause", "pause"),
        *("progress", "progress"),
        *("resume", "resume"),
    ]


async def test_users_update_nothing_but_the_size_of_orders() -> None:
    requests = Requests()
    await users(requests).ask(request(Verb.UPDATE))
    assert requests.specs
    for spec in requests.specs:
        assert Decimal(spec["order_size"]["amount"]) == 55
        assert {**spec, "order_size": SPEC["order_size"]} == SPEC
