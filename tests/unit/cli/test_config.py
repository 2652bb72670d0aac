"""`gridkeeper config venues`: the records, for people and for programs."""

from __future__ import annotations

from cli.exits import Exit
from exchanges.venues import VENUES
from support.command_line import CommandLine


def test_venues_table_has_a_line_for_each() -> None:
    lines = CommandLine()("config", "venues").splitlines()
    assert {line.split()[0] for line in lines if line.split()} >= set(VENUES)


def test_venues_are_told_to_programs_in_full() -> None:
    told = {row["venue"]: row for row in CommandLine().json("config", "venues")}
    assert set(told) == set(VENUES)
    assert told["kraken"]["sandbox"] == "none: live only"
    assert told["okx"]["request expiry"] == "nothing expires"


def test_one_venue_shows_what_follows_from_its_record() -> None:
    answer = CommandLine().json("config", "venues", "coinbase")
    assert answer["cancel by"] == "venue's id, looked up first"
    assert any("stray" in sentence for sentence in answer["guarantees"])
    assert "stray" in CommandLine()("config", "venues", "coinbase")


def test_unknown_venue_is_refused() -> None:
    answer = CommandLine().json("config", "venues", "nowhere", code=Exit.INVALID)
    assert answer["error"]["field"] == "venue"
