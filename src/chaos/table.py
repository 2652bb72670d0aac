"""The faults there are: what each does, what heals it, and when all symbols must quote again."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from chaos.faults import (
    Armed,
    Broken,
    ByHand,
    End,
    Fault,
    FrozenMarket,
    FullDisk,
    Jump,
    Killed,
    Line,
    Person,
    Place,
    Process,
    Refiltered,
    Signalled,
)
from chaos.proxy import Mode

#: Started without a database, or lost to a node that had one.
WITHOUT_DATABASE = frozenset({End.DATABASE_UNAVAILABLE, End.FENCED})


def _replies(
    name: str,
    does: str,
    *faults: Mapping[str, Any],
    named_by: int = 1,
    hold_s: tuple[float, float] = (3.0, 10.0),
    again_s: float = 30.0,
) -> Fault:
    """What is armed for requests, and cleared at the end."""
    return Fault(
        name=name,
        place=Place.EXCHANGE,
        effect=Armed(faults, named_by),
        does=does,
        heals="answers as always",
        hold_s=hold_s,
        again_s=again_s,
    )


def _line(line: Line, mode: Mode, does: str) -> Fault:
    place = Place.TO_EXCHANGE if line is Line.EXCHANGE else Place.TO_DATABASE
    return Fault(
        name=f"{line}-{mode}",
        place=place,
        effect=Broken(line, mode),
        does=f"{place} of one node or all: {does}",
        heals="passes everything",
        hold_s=(1.0, 15.0),
        again_s=45.0,
        ends=frozenset() if line is Line.EXCHANGE else WITHOUT_DATABASE,
    )


def _signal(name: str, process: Process, number: signal.Signals, does: str, heals: str) -> Fault:
    ends: frozenset[End] = frozenset()
    if process is Process.POSTGRES:
        ends = WITHOUT_DATABASE
    elif process is Process.NODE and number is signal.SIGSTOP:
        ends = frozenset({End.FENCED})
    places = {
        Process.NODE: Place.NODE,
        Process.EXCHANGE: Place.EXCHANGE,
        Process.POSTGRES: Place.POSTGRES,
    }
    return Fault(
        name=name,
        place=places[process],
        effect=Signalled(process, number),
        does=does,
        heals=heals,
        hold_s=(0.5, 12.0) if number is signal.SIGSTOP else (0.0, 3.0),
        again_s=45.0,
        ends=ends,
    )


_PLACE = {"method": "POST", "path": "order"}
_CANCEL = {"method": "DELETE", "path": "order"}
#: Longer than the five seconds that a node waits for a reply.
_LOST_S = 7.0

_TABLE = (
    _replies(
        "order-reply-lost",
        "three orders are accepted, their replies never come",
        {"kind": "timeout_accepted", "delay_s": _LOST_S, "count": 3, **_PLACE},
    ),
    _replies(
        "order-lost",
        "three orders never arrive",
        {"kind": "timeout_lost", "delay_s": _LOST_S, "count": 3, **_PLACE},
    ),
    _replies(
        "order-late",
        "three orders arrive after their validity",
        {"kind": "request_delayed", "delay_s": 3.0, "count": 3, **_PLACE},
    ),
    _replies(
        "order-reply-late",
        "the replies to three orders come after one stopped waiting",
        {"kind": "reply_delayed", "delay_s": _LOST_S, "count": 3, **_PLACE},
    ),
    _replies(
        "order-and-look-up-lost",
        "the replies to two orders are lost, the account's stream is silent, every look-up fails",
        {"kind": "timeout_accepted", "delay_s": _LOST_S, "count": 2, **_PLACE},
        {"kind": "error", "status": 503, "count": 100, "method": "GET", "path": "order"},
        {"kind": "error", "status": 503, "count": 100, "method": "GET", "path": "open orders"},
        {"kind": "error", "status": 503, "count": 100, "method": "GET", "path": "trades"},
        {"kind": "ws_silent", "stream": "user", "duration_s": 60.0},
        hold_s=(8.0, 15.0),  # before, a node still waits for the replies
    ),
    _replies(
        "order-503-lost",
        "three orders are answered with 503 and not placed",
        {"kind": "error", "status": 503, "count": 3, **_PLACE},
    ),
    _replies(
        "order-503-accepted",
        "three orders are answered with 503 and placed",
        {"kind": "error_after", "status": 503, "count": 3, **_PLACE},
    ),
    _replies(
        "order-disconnected",
        "the connections of three orders close, once before and twice after they are placed",
        {"kind": "disconnect", "when": "before", "count": 1, **_PLACE},
        {"kind": "disconnect", "when": "after", "count": 2, **_PLACE},
    ),
    _replies(
        "order-refused-funds",
        "two orders are refused with -2010, insufficient balance",
        {
            "kind": "error",
            "status": 400,
            "count": 2,
            "body": {
                "code": -2010,
                "msg": "Account has insufficient balance for requested action.",
            },
            **_PLACE,
        },
        again_s=60.0,  # entries wait for half a minute
    ),
    _replies(
        "cancel-reply-lost",
        "two cancels are carried out, their replies never come",
        {"kind": "timeout_accepted", "delay_s": _LOST_S, "count": 2, **_CANCEL},
    ),
    _replies(
        "cancel-503",
        "three cancels are answered with 503, one of them carried out",
        {"kind": "error_after", "status": 503, "count": 1, **_CANCEL},
        {"kind": "error", "status": 503, "count": 2, **_CANCEL},
    ),
    _replies(
        "storm-500",
        "every request is answered with 500",
        {"kind": "error", "status": 500, "count": 10_000},
    ),
    _replies(
        "rate-limit-429",
        "two requests are refused with 429 and Retry-After 2",
        {"kind": "rate_limit", "retry_after_s": 2, "count": 2},
    ),
    _replies(
        "rate-limit-418",
        "a request is refused with 418 and Retry-After 5",
        {"kind": "rate_limit", "status": 418, "retry_after_s": 5, "count": 1},
    ),
    _replies(
        "wrong-time",
        "ten requests are refused with -1021, outside of the recvWindow",
        {
            "kind": "error",
            "status": 400,
            "count": 10,
            "body": {"code": -1021, "msg": "Timestamp for this request is outside of recvWindow."},
        },
    ),
    _replies(
        "keys-refused",
        "every order and look-up is refused with -2015, invalid key",
        *(
            {
                "kind": "error",
                "status": 401,
                "count": 1_000,
                "path": path,
                "body": {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
            }
            for path in ("order", "open orders", "trades")
        ),
        named_by=3,
        again_s=60.0,  # keys are tried again every 15 s
    ),
    _replies(
        "maintenance",
        "503 on everything, new WebSockets included",
        {"kind": "maintenance", "duration_s": 60.0},
    ),
    _replies(
        "events-lost",
        "ten events of the account are not sent",
        {"kind": "drop_user_events", "count": 10},
    ),
    _replies(
        "events-twice",
        "twenty events of the account are sent twice",
        {"kind": "duplicate_user_events", "count": 20},
    ),
    _replies(
        "events-reordered",
        "twenty events of the account come in another order",
        {"kind": "reorder_user_events", "count": 20},
    ),
    _replies(
        "market-silent",
        "market streams stay open and say nothing",
        {"kind": "ws_silent", "stream": "market", "duration_s": 60.0},
    ),
    _replies(
        "account-silent",
        "the account's stream stays open and says nothing",
        {"kind": "ws_silent", "stream": "user", "duration_s": 60.0},
    ),
    _replies(
        "streams-disconnected",
        "every WebSocket is closed once",
        {"kind": "ws_disconnect", "stream": "all"},
    ),
    _replies(
        "clock-ahead",
        "the exchange's clock is 30 s ahead",
        {"kind": "clock_offset_ms", "offset_ms": 30_000},
    ),
    _replies(
        "clock-behind",
        "the exchange's clock is 30 s behind",
        {"kind": "clock_offset_ms", "offset_ms": -30_000},
    ),
    Fault(
        name="market-frozen",
        place=Place.EXCHANGE,
        effect=FrozenMarket(),
        does="books stand still, nothing trades",
        heals="the market moves",
        hold_s=(2.0, 12.0),
    ),
    Fault(
        name="filters-changed",
        place=Place.EXCHANGE,
        effect=Refiltered(tick_times=5, lot_times=3),
        does="one symbol's tick is five and its lot three times as coarse",
        heals="the filters are as before",
        hold_s=(3.0, 15.0),
        again_s=45.0,
    ),
    Fault(
        name="price-jump",
        place=Place.EXCHANGE,
        effect=Jump(percent_max=0.5),
        does="one symbol's price jumps by up to half a percent, up or down",
        heals="by itself",
    ),
    Fault(
        name="person-trades",
        place=Place.EXCHANGE,
        effect=ByHand(Person.TRADES),
        does="a person buys at the market on the account",
        heals="by itself",
    ),
    Fault(
        name="person-cancels",
        place=Place.EXCHANGE,
        effect=ByHand(Person.CANCELS),
        does="a person cancels one of our orders",
        heals="by itself",
    ),
    Fault(
        name="person-cancels-all",
        place=Place.EXCHANGE,
        effect=ByHand(Person.CANCELS_ALL),
        does="a person cancels all of one symbol's orders",
        heals="by itself",
    ),
    _line(Line.EXCHANGE, Mode.CUT, "connections break and are refused"),
    _line(Line.EXCHANGE, Mode.SILENT, "connections open, all bytes are dropped"),
    _line(Line.EXCHANGE, Mode.FROZEN, "nothing moves, nothing is lost"),
    _line(Line.EXCHANGE, Mode.DELAYED, "half a second more each way"),
    _line(Line.EXCHANGE, Mode.CORRUPT, "a byte of each piece is another one, below TLS"),
    _line(Line.EXCHANGE, Mode.HALF_OPEN, "requests arrive, answers are dropped"),
    _line(Line.DATABASE, Mode.CUT, "connections break and are refused"),
    _line(Line.DATABASE, Mode.SILENT, "connections open, all bytes are dropped"),
    _line(Line.DATABASE, Mode.FROZEN, "nothing moves, nothing is lost"),
    _line(Line.DATABASE, Mode.DELAYED, "half a second more each way"),
    _line(Line.DATABASE, Mode.HALF_OPEN, "statements arrive, answers are dropped"),
    _signal("node-killed", Process.NODE, signal.SIGKILL, "kill -9 of a node", "it is started"),
    _signal("node-stopped", Process.NODE, signal.SIGSTOP, "a node is stopped", "it goes on"),
    _signal("node-terminated", Process.NODE, signal.SIGTERM, "a node is ended", "it is started"),
    _signal(
        "exchange-killed",
        Process.EXCHANGE,
        signal.SIGKILL,
        "kill -9 of the exchange",
        "it is started",
    ),
    _signal(
        "exchange-stopped",
        Process.EXCHANGE,
        signal.SIGSTOP,
        "the exchange is stopped",
        "it goes on",
    ),
    _signal(
        "exchange-terminated",
        Process.EXCHANGE,
        signal.SIGTERM,
        "the exchange is ended",
        "it is started",
    ),
    _signal(
        "postgres-killed",
        Process.POSTGRES,
        signal.SIGKILL,
        "kill -9 of the postmaster",
        "its supervisor starts it",
    ),
    _signal(
        "postgres-stopped",
        Process.POSTGRES,
        signal.SIGSTOP,
        "Postgres and its children are stopped",
        "they go on",
    ),
    _signal(
        "postgres-terminated",
        Process.POSTGRES,
        signal.SIGTERM,
        "a smart shutdown: sessions go on, new ones are refused",
        "it is ended for good, its supervisor starts it",
    ),
    Fault(
        name="disk-full",
        place=Place.POSTGRES,
        effect=FullDisk(),
        does="Postgres' file system is full",
        heals="there is room again",
        hold_s=(5.0, 15.0),
        again_s=60.0,
        ends=WITHOUT_DATABASE,
    ),
    Fault(
        name="kill-switch",
        place=Place.POSTGRES,
        effect=Killed(),
        does="the kill switch is thrown; every order must be gone when the other faults are over",
        heals="it is rearmed",
        hold_s=(1.0, 5.0),
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _TABLE}
