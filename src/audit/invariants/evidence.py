"""Both sides at one look, joined by ids."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from audit.database import Adoption, Database, Fill, Intent
from audit.exchange import Exchange, ExchangeOrder, ExchangeTrade
from audit.ids import Tag, decode

#: Shard, ladder version and slot.
SlotKey = tuple[int, int, int]


@dataclass(frozen=True)
class Evidence:
    """What the exchange says, what Postgres says, and what was promised to callers."""

    exchange: Exchange
    database: Database
    #: Workflow ids of requests that were acknowledged.
    acknowledged: tuple[str, ...] = ()

    @cached_property
    def intents(self) -> dict[str, Intent]:
        return {intent.client_order_id: intent for intent in self.database.intents}

    @cached_property
    def orders(self) -> dict[str, list[ExchangeOrder]]:
        """Every order that no person placed, by client id, in the order of acceptance."""
        orders: dict[str, list[ExchangeOrder]] = defaultdict(list)
        for order in self.exchange.orders:
            if not order.is_persons:
                orders[order.client_order_id].append(order)
        return dict(orders)

    @cached_property
    def tagged_orders(self) -> list[tuple[ExchangeOrder, Tag]]:
        """Orders whose id says that this installation placed them."""
        tagged: list[tuple[ExchangeOrder, Tag]] = []
        for client_order_id, orders in self.orders.items():
            tag = self.tag(client_order_id)
            if tag is not None:
                tagged += [(order, tag) for order in orders]
        return sorted(tagged, key=lambda item: item[0].accepted_seq)

    @cached_property
    def fills(self) -> dict[tuple[str, str], Fill]:
        return {(fill.symbol, fill.trade_id): fill for fill in self.database.fills}

    @cached_property
    def own_trades(self) -> dict[SlotKey, list[ExchangeTrade]]:
        """The exchange's trades of orders that have an intent, by its slot."""
        trades: dict[SlotKey, list[ExchangeTrade]] = defaultdict(list)
        for trade in self.exchange.trades:
            intent = self.intents.get(trade.client_order_id)
            if intent is not None:
                trades[intent.shard, intent.ladder_version, intent.slot].append(trade)
        return dict(trades)

    @cached_property
    def adoptions(self) -> dict[SlotKey, Adoption]:
        return {
            (adopted.shard, adopted.ladder_version, adopted.slot): adopted
            for adopted in self.database.adoptions
        }

    def tag(self, client_order_id: str) -> Tag | None:
        tag = decode(client_order_id)
        return tag if tag is not None and tag.nonce == self.database.nonce else None

    def is_left_out(self, order: ExchangeOrder) -> bool:
        """Whether a restoration may do without it.

        It had ended by then, and belongs to a shard that was removed, or is older than what the
        operator had restored.
        """
        restoration = self.database.restoration
        if restoration is None or order.ended_ms is None or order.client_order_id in self.intents:
            return False
        tag = self.tag(order.client_order_id)
        if tag is None:
            return False
        is_removed = all(shard.shard != tag.shard for shard in self.database.shards)
        is_older = restoration.since_ms is not None and order.ended_ms < restoration.since_ms
        return order.ended_ms <= restoration.restored_ms and (is_removed or is_older)

    def must_be_recorded(self, trade: ExchangeTrade) -> bool:
        """Own trades always, a person's while one of our shards has the symbol."""
        return trade.client_order_id in self.intents or any(
            shard.watches(trade.symbol, trade.traded_ms) for shard in self.database.shards
        )


def slot_name(key: SlotKey) -> str:
    shard, ladder_version, slot = key
    return f"shard {shard} ladder {ladder_version} slot {slot}"


def differences(expected: dict[str, object], found: dict[str, object]) -> tuple[str, str] | None:
    """The fields that differ, as both sides have them; `None` if none does."""
    names = [name for name, value in expected.items() if value != found[name]]
    if not names:
        return None
    return (
        ", ".join(f"{name} {expected[name]}" for name in names),
        ", ".join(f"{name} {found[name]}" for name in names),
    )
