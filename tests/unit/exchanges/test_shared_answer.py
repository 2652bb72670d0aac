"""Many who ask at once cost one question."""

from __future__ import annotations

import asyncio

from domain.errors import TransientVenueError
from exchanges.shared_answer import SharedAnswer


class Venue:
    def __init__(self) -> None:
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.fails = False

    async def answer(self) -> int:
        self.asked += 1
        self.was_asked.set()
        number = self.asked
        await asyncio.sleep(0)
        if self.fails:
            raise TransientVenueError("no answer")
        return number


async def test_shared_answer_asks_once_for_all_who_come_together() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer)
    assert await asyncio.gather(*(shared.get() for _ in range(100))) == [1] * 100
    assert venue.asked == 1


async def test_shared_answer_is_never_from_before_it_was_asked_for() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer)
    first = asyncio.create_task(shared.get())
    await venue.was_asked.wait()
    late = await asyncio.gather(*(shared.get() for _ in range(100)))
    assert await first == 1
    assert late == [2] * 100
    assert await shared.get() == 3


async def test_shared_answer_keeps_no_failure() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer)
    venue.fails = True
    both = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [type(answer) for answer in both] == [TransientVenueError] * 2
    venue.fails = False
    assert await shared.get() == 2


async def test_shared_answer_survives_one_who_goes_away() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer)
    impatient, patient = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 1


async def test_shared_answer_gathers_those_who_come_one_by_one() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer, every_s=0.2)
    asking = []
    for _ in range(20):
        asking.append(asyncio.create_task(shared.get()))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*asking)
    assert (answers[0], answers[-1], venue.asked) == (1, 2, 2)


async def test_shared_answer_holds_nobody_up_who_comes_first() -> None:
    venue = Venue()
    shared = SharedAnswer(venue.answer, every_s=3600.0)
    assert await asyncio.gather(*(shared.get() for _ in range(100))) == [1] * 100
