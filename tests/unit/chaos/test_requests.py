"""What users ask for: decided by the seed alone, in order, and every symbol runs afterwards."""

from __future__ import annotations

from itertools import islice

from chaos.requests import Request, Verb, stories

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def first(seed: int, count: int = 200) -> list[tuple[Request, ...]]:
    return list(islice(stories(seed, SYMBOLS), count))


def test_same_seed_gives_the_same_requests() -> None:
    assert first(7) == first(7)
    assert first(7) != first(8)


def test_symbol_that_is_paused_is_resumed_at_last() -> None:
    for story in first(1):
        verbs = [request.verb for request in story]
        assert verbs.count(Verb.PAUSE) == verbs.count(Verb.RESUME)
        assert Verb.PAUSE not in verbs or (verbs[0], verbs[-1]) == (Verb.PAUSE, Verb.RESUME)


def test_requests_of_a_story_are_of_one_symbol_and_one_after_the_other() -> None:
    for story in first(2):
        moments = [request.at for request in story]
        assert moments == sorted(moments)
        assert 0 <= moments[0] <= moments[-1] <= 1
        assert len({request.symbol for request in story}) == 1


def test_everything_is_asked_of_every_symbol() -> None:
    asked = {(request.verb, request.symbol) for story in first(3) for request in story}
    assert asked == {(verb, symbol) for verb in Verb for symbol in SYMBOLS}
