"""What a crash test tells: a failpoint that was armed was reached, or it was not."""

from __future__ import annotations

from cli.crash_test import Kill, Outcome, Target

KILLS = [
    Kill(Target.NODE),
    Kill(Target.FAILPOINT, "execute_plan.before_send@1", reached=True),
    Kill(Target.FAILPOINT, "execute_plan.before_send@5", reached=False),
    Kill(Target.FAILPOINT, "apply_change.before_record@1", reached=True),
]


def test_text_counts_failpoints_that_were_reached_apart() -> None:
    text = Outcome(seed=1, kills=KILLS).to_text()
    assert text == "seed 1: 1 × node, 2 × failpoint reached, 1 × failpoint not reached\n"


def test_document_says_of_each_failpoint_whether_it_was_reached() -> None:
    kills = Outcome(seed=1, kills=KILLS).to_document()["kills"]
    assert isinstance(kills, list)
    assert [kill["reached"] for kill in kills] == [None, True, False, True]
