"""The ledger against the exchange's balances, and the slots' cash against its trades: I8."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from audit.database import Opening
from audit.exchange import SPOT, ExchangeTrade
from audit.invariants.evidence import Evidence, SlotKey, slot_name
from audit.report import Result, Violation

#: Purposes of orders that add to a position.
OPENING = {"entry", "initial"}


def check_balances(evidence: Evidence) -> Result:
    """I8: every asset, every slot's cash and every pair add up to the last unit."""
    violations = (
        *_assets(evidence),
        *_adopted(evidence),
        *_fundings(evidence),
        *_cash(evidence),
        *_pairs(evidence),
    )
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
    """Transfers on spot, and a person's trades where no shard was, since the balance was taken.

    Those of a wallet are booked like its funding. A transfer in the moment between the reading of
    that balance and its commit is on neither side.
    """
    transfers = (
        transfer.amount
        for transfer in evidence.exchange.transfers
        if evidence.exchange.market == SPOT
        and transfer.asset == opening.asset
        and transfer.transferred_ms > opening.recorded_ms
    )
    trades = (
        trade.movement(opening.asset)
        for trade in evidence.exchange.trades
        if trade.traded_ms > opening.recorded_ms
        and (trade.symbol, trade.trade_id) not in evidence.fills
        and not evidence.must_be_recorded(trade)
    )
    return sum(transfers, Decimal(0)) + sum(trades, Decimal(0))


def _adopted(evidence: Evidence) -> list[Violation]:
    """Inventory that no trade brought must be at the exchange, beside all that others hold."""
    shards = {shard.shard: shard for shard in evidence.database.shards}
    is_spot = evidence.exchange.market == SPOT
    held: dict[str, Decimal] = defaultdict(Decimal)
    for slot in evidence.database.slots:
        shard = shards[slot.shard]
        if shard.ended_ms is None:
            held[shard.base if is_spot else shard.symbol] += slot.inventory
    adopting = {shards[shard] for shard, *_ in evidence.adoptions}
    violations: list[Violation] = []
    for name in sorted({shard.base if is_spot else shard.symbol for shard in adopting}):
        there = evidence.exchange.balance(name) if is_spot else evidence.exchange.position(name)
        least = min(there, held[name] if is_spot else Decimal(0))
        if not least <= held[name] <= max(there, Decimal(0)):
            subject, most = f"adopted {name}", f"slots that hold {there} at most"
            violations.append(Violation("I8", subject, most, f"{held[name]}"))
    return violations


def _fundings(evidence: Evidence) -> list[Violation]:
    """Of each symbol, since the wallet was written down."""
    since_ms = {opening.asset: opening.income_ms for opening in evidence.database.openings}
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for funding in evidence.exchange.fundings:
        if funding.asset in since_ms and funding.paid_ms > since_ms[funding.asset]:
            paid[funding.symbol] += funding.amount
    booked = evidence.database.funding
    return [
        Violation("I8", f"funding of {symbol}", f"{paid[symbol]}", f"{found}")
        for symbol in sorted(paid.keys() | booked.keys())
        if paid[symbol] != (found := booked.get(symbol, Decimal(0)))
    ]


def _cash(evidence: Evidence) -> list[Violation]:
    """What a slot began with and opening trades cost lies in inventory, open round or pairs; what
    closing ones brought, in round or pairs.
    """
    opened: dict[SlotKey, Decimal] = defaultdict(Decimal)
    closed: dict[SlotKey, Decimal] = defaultdict(Decimal)
    for slot in evidence.database.slots:
        key = slot.shard, slot.ladder_version, slot.slot
        opened[key] += slot.cost + slot.closed_cost
        closed[key] += slot.proceeds
    for pair in evidence.database.pairs:
        key = pair.shard, pair.ladder_version, pair.slot
        opened[key] += pair.cost
        closed[key] += pair.proceeds
    violations: list[Violation] = []
    for key in sorted(opened.keys() | evidence.own_trades.keys() | evidence.adoptions.keys()):
        cost, proceeds = _flows(evidence, evidence.own_trades.get(key, []))
        if key in evidence.adoptions:
            cost += evidence.adoptions[key].cost
        if opened[key] != cost:
            subject = f"cost of {slot_name(key)}"
            violations.append(Violation("I8", subject, f"{cost}", f"{opened[key]}"))
        if closed[key] != proceeds:
            subject = f"proceeds of {slot_name(key)}"
            violations.append(Violation("I8", subject, f"{proceeds}", f"{closed[key]}"))
    return violations


def _flows(evidence: Evidence, trades: Iterable[ExchangeTrade]) -> tuple[Decimal, Decimal]:
    """Quote paid by the opening trades and brought by the closing ones, with fees in quote.

    What flows the other way counts as negative: the sells that open a short slot, and the buys
    that close it.
    """
    cost = proceeds = Decimal(0)
    for trade in trades:
        paid = trade.notional if trade.side == "buy" else -trade.notional
        paid += trade.quote_fee
        if evidence.intents[trade.client_order_id].purpose in OPENING:
            cost += paid
        else:
            proceeds -= paid
    return cost, proceeds


def _pairs(evidence: Evidence) -> list[Violation]:
    return [
        Violation(
            "I8", f"profit of pair {pair.pair}", f"{pair.proceeds - pair.cost}", f"{pair.profit}"
        )
        for pair in evidence.database.pairs
        if pair.profit != pair.proceeds - pair.cost
    ]
