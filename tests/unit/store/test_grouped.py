"""What waits while an action is under way goes together in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from store.grouped import GROUP_MAX, Grouped


class Gate:
    """An action that ends when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self._may_end = asyncio.Semaphore(0)
        self.failure: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        await self._may_end.acquire()
        if self.failure is not None:
            raise self.failure
        return [-item for item in items]

    def open(self, times: int = 1) -> None:
        for _ in range(times):
            self._may_end.release()


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_call_alone_is_made_at_once(gate: Gate) -> None:
    gate.open()
    assert await Grouped(gate)(1) == -1
    assert gate.groups == [[1]]


async def test_calls_of_one_moment_and_those_that_come_meanwhile_are_two_groups(
    gate: Gate,
) -> None:
    call = Grouped(gate)
    first = [asyncio.create_task(call(item)) for item in (1, 2)]
    await settle()
    later = [asyncio.create_task(call(item)) for item in (3, 4, 5)]
    await settle()
    assert gate.groups == [[1, 2]]
    gate.open(2)
    assert await asyncio.gather(*first, *later) == [-1, -2, -3, -4, -5]
    assert gate.groups == [[1, 2], [3, 4, 5]]


async def test_failure_is_everybodys_in_its_group_and_nobodys_in_the_next(gate: Gate) -> None:
    call = Grouped(gate)
    gate.failure = ValueError("no")
    failed = [asyncio.create_task(call(item)) for item in (1, 2)]
    gate.open()
    assert [str(each) for each in await asyncio.gather(*failed, return_exceptions=True)] == [
        "no",
        "no",
    ]
    gate.failure = None
    gate.open()
    assert await call(3) == -3


async def test_call_withdrawn_while_it_waits_is_not_made_and_keeps_nobody(gate: Gate) -> None:
    call = Grouped(gate)
    calls = [asyncio.create_task(call(item)) for item in (1, 2)]
    await settle()
    calls += [asyncio.create_task(call(item)) for item in (3, 4)]
    await settle()
    calls[1].cancel()  # is being made
    calls[2].cancel()  # waits
    gate.open(2)
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert (told[0], told[3]) == (-1, -4)
    assert gate.groups == [[1, 2], [4]]


async def test_group_is_bounded(gate: Gate) -> None:
    call = Grouped(gate)
    gate.open(3)
    count = 2 * GROUP_MAX + 1
    assert await asyncio.gather(*map(call, range(count))) == [-item for item in range(count)]
    assert [len(group) for group in gate.groups] == [GROUP_MAX, GROUP_MAX, 1]
