"""The ledger against the exchange's balances, and the slots' cash against its trades: I8."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from audit.database import Opening
from audit.exchange import ExchangeTrade
from audit.invariants.evidence import Evidence, SlotKey, slot_name
from audit.report import Result, Violation


def check_balances(evidence: Evidence) -> Result:
    """I8: every asset, every slot's cash and every pair add up to the last unit."""
    violations = (*_assets(evidence), *_cash(evidence), *_pairs(evidence))
    checked = {
        "assets": len(evidence.database.openings),
        "slots": len(evidence.database.slots),
        "pairs": len(evidence.database.pairs),
    }
    return Result("I8", "the ledger balances", checked, violations)


def _assets(evidence: Evidence) -> list[Violation]:
    booked = evidence.database.booked
    openings = {opening.asset: opening for opening in evidence.database.openings}
    violations = [
        Violation("I8", f"asset {asset}", "an opening balance", f"none, but {amount} booked")
        for asset, amount in sorted(booked.items())
        if asset not in openings
    ]
    for asset, opening in openings.items():
        expected = (
            opening.amount + booked.get(asset, Decimal(0)) + _not_ours_to_book(evidence, opening)
        )
        balance = evidence.exchange.balance(asset)
        if balance != expected:
            violations.append(
                Violation(
                    "I8",
                    f"asset {asset}",
                    f"a balance of {expected}, {opening.amount} at first and what was booked since",
                    f"{balance} at the exchange",
                )
            )
    return violations


def _not_ours_to_book(evidence: Evidence, opening: Opening) -> Decimal:
    """Transfers, and a person's trades where no shard was, since the balance was written down.

    A transfer in the moment between the reading of that balance and its commit is on neither side.
    """
    transfers = (
        transfer.amount
        for transfer in evidence.exchange.transfers
        if transfer.asset == opening.asset and transfer.transferred_ms > opening.recorded_ms
    )
    trades = (
        trade.movement(opening.asset)
        for trade in evidence.exchange.trades
        if trade.traded_ms > opening.recorded_ms
        and (trade.symbol, trade.trade_id) not in evidence.fills
        and not evidence.must_be_recorded(trade)
    )
    return sum(transfers, Decimal(0)) + sum(trades, Decimal(0))


def _cash(evidence: Evidence) -> list[Violation]:
    """What own buys paid lies in inventory, open round or pairs; so does what own sells brought."""
    paid: dict[SlotKey, Decimal] = defaultdict(Decimal)
    received: dict[SlotKey, Decimal] = defaultdict(Decimal)
    for slot in evidence.database.slots:
        key = slot.shard, slot.ladder_version, slot.slot
        paid[key] += slot.cost + slot.sold_cost
        received[key] += slot.proceeds
    for pair in evidence.database.pairs:
        key = pair.shard, pair.ladder_version, pair.slot
        paid[key] += pair.cost
        received[key] += pair.proceeds
    violations: list[Violation] = []
    for key in sorted(paid.keys() | evidence.own_trades.keys()):
        buys_paid, sells_brought = _flows(evidence.own_trades.get(key, []))
        if paid[key] != buys_paid:
            subject = f"cost of {slot_name(key)}"
            violations.append(Violation("I8", subject, f"{buys_paid}", f"{paid[key]}"))
        if received[key] != sells_brought:
            subject = f"proceeds of {slot_name(key)}"
            violations.append(Violation("I8", subject, f"{sells_brought}", f"{received[key]}"))
    return violations


def _flows(trades: Iterable[ExchangeTrade]) -> tuple[Decimal, Decimal]:
    """Quote that the buys cost and the sells brought, with their fees in quote."""
    paid = received = Decimal(0)
    for trade in trades:
        if trade.side == "buy":
            paid += trade.notional + trade.quote_fee
        else:
            received += trade.notional - trade.quote_fee
    return paid, received


def _pairs(evidence: Evidence) -> list[Violation]:
    return [
        Violation(
            "I8", f"profit of pair {pair.pair}", f"{pair.proceeds - pair.cost}", f"{pair.profit}"
        )
        for pair in evidence.database.pairs
        if pair.profit != pair.proceeds - pair.cost
    ]
