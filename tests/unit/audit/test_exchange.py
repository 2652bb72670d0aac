"""The ledger's records folded into orders, trades, transfers and balances."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from audit.exchange import Exchange, LedgerFold, LedgerUnreadableError
from audit.simulator import SimulatorAccess
from unit.audit.dataset import make_world


def fold(*documents: dict[str, Any], account: str | None = None) -> Exchange:
    numbered = [
        {"seq": seq, "written_ms": 1_000 + seq, "account": "main", **document}
        for seq, document in enumerate(documents, start=1)
    ]
    ledger = LedgerFold(account)
    ledger.add(numbered)
    return ledger.snapshot()


def accepted(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "order_accepted",
        "symbol": "BTCUSDT",
        "order_id": 7,
        "client_order_id": "web_1",
        "side": "BUY",
        "price": "100.00000000",
        "quantity": "2.00000000",
        **changes,
    }


def filled(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "order_filled",
        "symbol": "BTCUSDT",
        "order_id": 7,
        "client_order_id": "web_1",
        "trade_id": 41,
        "side": "BUY",
        "price": "100.00000000",
        "quantity": "0.50000000",
        "quote": "50.00000000",
        "fee": "0.00050000",
        "fee_asset": "BTC",
        **changes,
    }


DEPOSIT = {"kind": "deposited", "asset": "USDT", "amount": "1000.00000000", "initial": True}


def test_fold_leaves_out_the_futures_market() -> None:
    futures = {"market": "futures"}
    settled = {**futures, "kind": "funding_settled", "symbol": "BTCUSDT"}
    exchange = fold(DEPOSIT, {**DEPOSIT, **futures}, settled, {**DEPOSIT, "market": "spot"})

    assert exchange.balance("USDT") == 2000
    assert exchange.seq == 4


def test_fold_partial_fill_leaves_the_order_open() -> None:
    exchange = fold(DEPOSIT, accepted(), filled())

    (order,) = exchange.orders
    assert order.is_open
    assert order.is_persons
    assert (order.accepted_seq, order.accepted_ms, order.filled) == (2, 1_002, Decimal("0.5"))
    assert exchange.balance("BTC") == Decimal("0.4995")
    assert exchange.balance("USDT") == Decimal(950)


def test_fold_last_fill_ends_the_order_with_its_record() -> None:
    last = filled(trade_id=42, quantity="1.5", quote="150", fee="0.0015")

    (order,) = fold(DEPOSIT, accepted(), filled(), last).orders

    assert order.ended_seq == 4


@pytest.mark.parametrize("kind", ["order_cancelled", "order_expired"])
def test_fold_end_by_record_ends_the_order(kind: str) -> None:
    end = {"kind": kind, "symbol": "BTCUSDT", "order_id": 7, "client_order_id": "web_1"}

    (order,) = fold(accepted(), end).orders

    assert order.ended_seq == 2


def test_fold_sell_takes_its_fee_from_quote() -> None:
    sale = filled(side="SELL", fee="0.05000000", fee_asset="USDT")

    exchange = fold(DEPOSIT, accepted(side="SELL"), sale)

    assert exchange.balance("BTC") == Decimal("-0.5")
    assert exchange.balance("USDT") == Decimal("1049.95")
    assert exchange.trades[0].quote_fee == Decimal("0.05")


def test_fold_rejection_and_change_of_rules_leave_nothing() -> None:
    rejected = {**accepted(), "kind": "order_rejected"}
    rules = {"kind": "rules_changed", "symbol": "BTCUSDT", "account": None}

    exchange = fold(rejected, rules)

    assert (exchange.seq, exchange.orders, exchange.trades) == (2, (), ())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({"kind": "order_lost"}, "unknown kind 'order_lost'", id="kind"),
        pytest.param({**DEPOSIT, "seq": 9}, "record 9 follows 1", id="gap"),
        pytest.param(
            {**DEPOSIT, "account": "other"}, "several accounts: main, other", id="account"
        ),
        pytest.param(filled(fee_asset="BNB"), "a buy of BTCUSDT paid BNB", id="fee"),
    ],
)
def test_fold_of_what_it_does_not_understand_refuses(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerUnreadableError, match=message):
        fold(accepted(), document)


def test_fold_of_a_named_account_leaves_the_others_out() -> None:
    others = {**DEPOSIT, "account": "other"}

    assert fold(DEPOSIT, others, others, account="main").balance("USDT") == Decimal(1_000)
    assert fold(DEPOSIT, others, others, account="other").balance("USDT") == Decimal(2_000)


def test_read_stops_before_a_torn_line_and_goes_on_there(tmp_path: Path) -> None:
    lines = [json.dumps(document) + "\n" for document in make_world(1).documents[:3]]
    path = tmp_path / "ledger.jsonl"
    path.write_text(lines[0] + lines[1][:9])
    access = SimulatorAccess(tmp_path)

    records, offset = access.read()
    assert [record["seq"] for record in records] == [1]
    path.write_text("".join(lines))
    records, offset = access.read(offset)
    assert [record["seq"] for record in records] == [2, 3]
    assert access.read(offset) == ([], offset)
