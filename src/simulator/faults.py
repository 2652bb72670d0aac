"""Faults armed over the control API: which are there, how often they still fire, on what."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

REQUEST_KINDS = frozenset(
    {
        "timeout_accepted",  # processed; the reply is held for `delay_s`, then the socket closes
        "timeout_lost",  # not processed; the same
        "request_delayed",  # processed only after `delay_s`, as if it had been slow to arrive
        "reply_delayed",  # processed; the reply comes after `delay_s`
        "error",  # not processed; answers `status` and `body`
        "error_after",  # processed; answers `status` and `body`
        "disconnect",  # the socket closes, `when` "before" or "after" processing
        "rate_limit",  # not processed; 429 (or `status`) with Retry-After `retry_after_s`
    }
)
EVENT_KINDS = frozenset({"drop_user_events", "duplicate_user_events", "reorder_user_events"})
#: Last for `duration_s`; nothing counts them down.
LASTING_KINDS = frozenset({"ws_silent", "maintenance"})
#: Take effect once, when armed: `stream`, `offset_ms`, `market` and `symbol` with `filters`.
IMMEDIATE_KINDS = frozenset({"ws_disconnect", "listen_key_expired", "clock_offset_ms", "filters"})
KINDS = REQUEST_KINDS | EVENT_KINDS | LASTING_KINDS | IMMEDIATE_KINDS

STREAMS = frozenset({"market", "user", "all"})
MARKETS = frozenset({"spot", "futures"})
#: What the futures market calls the event by which orders are told.
_FUTURES_NAMES = {"ORDER_TRADE_UPDATE": "executionReport"}


class InvalidFaultError(ValueError):
    """A fault's description cannot be understood."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One armed fault; a None match field matches everything."""

    kind: str
    id: int = 0
    #: How many times it still fires.
    count: int = 1
    fired: int = 0
    method: str | None = None
    path: str | None = None
    symbol: str | None = None
    delay_s: float = 60.0
    status: int | None = None
    body: dict[str, Any] | None = None
    when: str = "after"
    retry_after_s: int = 1
    duration_s: float = 10.0
    stream: str = "all"
    market: str = "spot"
    #: Which user event counts; None counts all kinds. `executionReport` is an order's of either
    #: market.
    event: str | None = "executionReport"
    offset_ms: int = 0
    filters: dict[str, str] = field(default_factory=dict)
    armed_s: float = field(default_factory=time.monotonic)

    def matches_request(self, method: str, path: str, symbol: str | None) -> bool:
        return (
            self.method in {None, method}
            and self.path in {None, path}
            and self.symbol in {None, symbol}
        )

    def lasts(self) -> bool:
        return time.monotonic() < self.armed_s + self.duration_s


class Faults:
    """The armed faults, oldest first; they live as long as the process."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._ids = itertools.count(1)

    def parse(self, description: Mapping[str, Any]) -> Fault:
        """Check a description completely, so that a bad one arms nothing."""
        settable = {item.name for item in fields(Fault)} - {"id", "fired", "armed_s"}
        unknown = description.keys() - settable
        if unknown:
            msg = f"unknown fields {sorted(unknown)}"
            raise InvalidFaultError(msg)
        if description.get("kind") not in KINDS:
            msg = f"`kind` must be one of {sorted(KINDS)}, was {description.get('kind')!r}"
            raise InvalidFaultError(msg)
        fault = Fault(**description)
        words = (
            fault.stream in STREAMS
            and fault.when in {"before", "after"}
            and fault.market in MARKETS
        )
        if fault.count < 1 or not words:
            msg = "`count` must be >= 1; `stream`, `when` and `market` one of their words"
            raise InvalidFaultError(msg)
        return fault

    def arm(self, fault: Fault) -> Fault:
        fault.id = next(self._ids)
        self._armed.append(fault)
        return fault

    def clear(self) -> None:
        self._armed.clear()

    def describe(self) -> list[dict[str, Any]]:
        """What is still armed."""
        self._forget_ended()
        return [asdict(fault) for fault in self._armed]

    def for_request(self, method: str, path: str, symbol: str | None) -> Fault | None:
        return self._fire(
            lambda fault: (
                fault.kind in REQUEST_KINDS and fault.matches_request(method, path, symbol)
            )
        )

    def for_event(self, event: str) -> Fault | None:
        names = {None, event, _FUTURES_NAMES.get(event)}
        return self._fire(lambda fault: fault.kind in EVENT_KINDS and fault.event in names)

    def in_maintenance(self) -> bool:
        return any(fault.kind == "maintenance" and fault.lasts() for fault in self._armed)

    def is_silent(self, stream: str) -> bool:
        return any(
            fault.kind == "ws_silent" and fault.stream in {"all", stream} and fault.lasts()
            for fault in self._armed
        )

    def _fire(self, wanted: Callable[[Fault], bool]) -> Fault | None:
        for fault in self._armed:
            if wanted(fault):
                fault.count -= 1
                fault.fired += 1
                if fault.count == 0:
                    self._armed.remove(fault)
                return fault
        return None

    def _forget_ended(self) -> None:
        self._armed = [
            fault for fault in self._armed if fault.kind not in LASTING_KINDS or fault.lasts()
        ]
