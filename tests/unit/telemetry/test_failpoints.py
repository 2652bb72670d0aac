"""What a process does to itself at a named instant."""

from __future__ import annotations

import os
import signal

import pytest

from domain.errors import ConfigurationError
from ports.failpoints import Failpoint
from telemetry.failpoints import KillAt

HERE, ELSEWHERE = Failpoint.PLAN_BEFORE_SEND, Failpoint.PLAN_AFTER_SEND


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Signals that this process sent, none of which arrives."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    return sent


@pytest.mark.parametrize(
    ("text", "passes", "signals"),
    [
        pytest.param(None, [HERE], [], id="not-armed"),
        pytest.param(HERE, [ELSEWHERE], [], id="elsewhere"),
        pytest.param(HERE, [ELSEWHERE, HERE, HERE], [signal.SIGKILL], id="killed-once"),
        pytest.param(f"{HERE}@2", [HERE], [], id="not-yet"),
        pytest.param(f"{HERE}@2", [HERE, HERE], [signal.SIGKILL], id="killed-the-second-time"),
        pytest.param(f"stop:{HERE}", [HERE, HERE], [signal.SIGSTOP], id="stopped-once"),
        pytest.param(
            f"stop:{HERE}@2", [HERE, HERE], [signal.SIGSTOP], id="stopped-the-second-time"
        ),
    ],
)
def test_failpoint_passed_strikes_when_and_as_it_is_armed(
    text: str | None,
    passes: list[Failpoint],
    signals: list[signal.Signals],
    sent: list[tuple[int, int]],
) -> None:
    failpoints = KillAt.parse(text)

    for point in passes:
        failpoints(point)

    assert sent == [(os.getpid(), number) for number in signals]


@pytest.mark.parametrize(
    "text", ["execute_plan", f"{HERE}@-1", f"{HERE}@often", f"halt:{HERE}", "stop:"]
)
def test_failpoint_malformed_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(ConfigurationError, match="GRIDKEEPER_FAILPOINT"):
        KillAt.parse(text)
