"""The schema, in human units: prices, quantities and money are exact `NUMERIC`s.

A column's comment is what ``\\d+`` shows in psql. Migrations make the same schema step by step; a
test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

LIVE_ORDER = text("status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')")
_NOW = text("clock_timestamp()")


def _moment(name: str, comment: str, *, default: bool = False) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=not default,
        server_default=_NOW if default else None,
        comment=comment,
    )


installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("nonce", Integer, nullable=False, comment="20 random bits inside every client order id"),
    Column("exchange", Text, comment="venue and mode of its orders; it never changes"),
    _moment("created_at", "when this database was first used", default=True),
    _moment("restored_at", "when it was rebuilt from the exchange; null if it never was"),
    _moment("restored_since", "what ended before was left out then; null if nothing was"),
    CheckConstraint("id = 1", name="singleton"),
    comment="one row: who we are in every client order id",
)

nodes = Table(
    "nodes",
    metadata,
    Column("executor_id", Text, primary_key=True, comment="node name and a fresh uuid per start"),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column(
        "boot_id",
        Text,
        nullable=False,
        comment="of the host's kernel: with another one it counts as another host",
    ),
    Column("pid", Integer, nullable=False),
    Column("pid_started", BigInteger, nullable=False, comment="kernel start ticks of the pid"),
    _moment("started_at", "when the process joined", default=True),
    _moment("heartbeat_at", "last proof of life", default=True),
    Column("capacity", Integer, nullable=False, server_default="500", comment="symbols it may run"),
    Column(
        "is_draining",
        Boolean,
        nullable=False,
        server_default="false",
        comment="its symbols go to other nodes, and it takes none",
    ),
    _moment("exchange_at", "when it last reached the exchange; null before it first did"),
    comment="processes that run shards; a missing row fences its process",
)

instruments = Table(
    "instruments",
    metadata,
    Column("account", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="spot, or linear: perpetuals settled in quote"),
    Column("tick_size", Numeric, nullable=False),
    Column("lot_size", Numeric, nullable=False),
    Column("min_quantity", Numeric, nullable=False),
    Column("min_notional", Numeric, nullable=False),
    Column("maker_fee", Numeric, nullable=False, comment="rate: 0.001 = 10 bp"),
    Column("taker_fee", Numeric, nullable=False, comment="rate: 0.001 = 10 bp"),
    Column("base_decimals", SmallInteger, nullable=False),
    Column("quote_decimals", SmallInteger, nullable=False),
    _moment("loaded_at", "when the venue first showed these rules", default=True),
    CheckConstraint("kind IN ('spot', 'linear')", name="kind"),
    comment="trading rules as the venue published them, one row a version",
)

shards = Table(
    "shards",
    metadata,
    Column("shard", Integer, Identity(maxvalue=65535), primary_key=True),
    Column(
        "symbol_key", Text, nullable=False, comment="account-BASE-QUOTE, of a perpetual with -perp"
    ),
    Column("account", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("spec", JSONB, nullable=False, comment="the grid as requested, in its current version"),
    Column("spec_version", Integer, nullable=False, server_default="1"),
    Column(
        "leverage",
        Integer,
        nullable=False,
        server_default="1",
        comment="of contracts: as the account was set at the venue when the symbol was added",
    ),
    Column(
        "found_position",
        Numeric,
        nullable=False,
        server_default="0",
        comment="of contracts: what was there before the first trade that is recorded, in base",
    ),
    Column(
        "spec_ms",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="when that was asked for, ms since 1970: an older request does not undo it",
    ),
    Column(
        "taken_version",
        Integer,
        comment="version of the spec that its owner works with; null before the first",
    ),
    Column("desired", Text, nullable=False, comment="what the operator wants"),
    Column(
        "desired_ms",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="when that was asked for, ms since 1970: an older request does not undo it",
    ),
    Column("status", Text, nullable=False, comment="what is"),
    Column("status_reason", Text, nullable=False, server_default=""),
    Column("start_price", Numeric, nullable=False, comment="price at which the grid starts"),
    Column("phase", JSONB, nullable=False, comment="where the grid is in its life"),
    Column("ladder_version", SmallInteger, nullable=False, server_default="0"),
    Column("instrument_version", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default="0", comment="raised by each owner"),
    Column("owner", Text, comment="executor id of the node that runs it"),
    Column("placed_on", Text, comment="executor id of the node that is to run it"),
    Column("pinned_to", Text, comment="name of the node an operator moved it to"),
    Column(
        "starts",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="how often it was started since it last got through its first round",
    ),
    _moment("quarantined_at", "when it was given up on; a resume lifts it"),
    Column("requested_by", Text, nullable=False, comment="id of the workflow that added it"),
    Column("reconciled_trade_id", Text, comment="every own trade up to here is recorded"),
    _moment("created_at", "when the symbol was added", default=True),
    _moment("updated_at", "last change of this row", default=True),
    _moment("reconciled_at", "last complete comparison with the exchange"),
    _moment("reconcile_asked_at", "when an operator last asked for a comparison"),
    _moment("ended_at", "when the symbol was removed"),
    CheckConstraint("desired IN ('running', 'paused', 'closed', 'removed')", name="desired"),
    CheckConstraint(
        "status IN ('starting', 'waiting', 'running', 'paused', 'halted', 'closing', 'stopped', "
        "'removing', 'removed')",
        name="status",
    ),
    Index(
        "shards_active_symbol",
        "account",
        "symbol",
        unique=True,
        postgresql_where=text("status <> 'removed'"),
    ),
    comment="the registry: one row for each symbol ever added",
)

change_starts = Table(
    "change_starts",
    metadata,
    Column("workflow_id", Text, primary_key=True, comment="of the request"),
    Column("executor_id", Text, nullable=False, comment="of the process that began it last"),
    Column("starts", SmallInteger, nullable=False, comment="by how many processes in a row"),
    comment="requests at work, or whose process ended while they were",
)

specs = Table(
    "specs",
    metadata,
    Column("shard", ForeignKey("shards.shard"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("spec", JSONB, nullable=False, comment="the whole grid as requested"),
    Column(
        "ladder_version", SmallInteger, nullable=False, comment="of the ladder that it began with"
    ),
    Column("requested_by", Text, nullable=False, comment="id of the workflow that asked for it"),
    Column("note", Text, nullable=False, server_default="", comment="why, in the operator's words"),
    _moment("made_at", "when it became the current one", default=True),
    UniqueConstraint("requested_by"),
    comment="append-only: every version of every symbol's grid",
)

ladders = Table(
    "ladders",
    metadata,
    Column("shard", ForeignKey("shards.shard"), primary_key=True),
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("anchor", Numeric, nullable=False, comment="price of level 0; never moves"),
    Column("spacing", JSONB, nullable=False, comment="of its levels"),
    Column(
        "pivot",
        Integer,
        nullable=False,
        server_default="0",
        comment="first short slot of a neutral grid",
    ),
    _moment("made_at", "when the grid began to use it", default=True),
    CheckConstraint("version BETWEEN 0 AND 255", name="version"),
    comment="the ladders of each symbol; only the slots of the current one take entries",
)

slots = Table(
    "slots",
    metadata,
    Column("shard", ForeignKey("shards.shard"), primary_key=True),
    Column("ladder_version", SmallInteger, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False, comment="index on the ladder"),
    Column(
        "inventory", Numeric, nullable=False, comment="base held, dust included; owed: negative"
    ),
    Column("cost", Numeric, nullable=False, comment="quote paid for it; received: negative"),
    Column("closed", Numeric, nullable=False, comment="base closed in the open round"),
    Column("closed_cost", Numeric, nullable=False, comment="what that had cost"),
    Column("proceeds", Numeric, nullable=False, comment="quote it brought, less quote fees"),
    Column("fee_base", Numeric, nullable=False, comment="base fees of the open round"),
    Column("fee_quote", Numeric, nullable=False, comment="quote fees of the open round"),
    Column("buy_generation", Integer, nullable=False, server_default="0"),
    Column("sell_generation", Integer, nullable=False, server_default="0"),
    Column("trades", Integer, nullable=False, server_default="0", comment="so far"),
    _moment("updated_at", "last change of this row", default=True),
    comment="grid slots that ever had an order: inventory, cost, generations",
)

adoptions = Table(
    "adoptions",
    metadata,
    Column("shard", ForeignKey("shards.shard"), primary_key=True),
    Column("ladder_version", SmallInteger, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("quantity", Numeric, nullable=False, comment="base taken over; owed: negative"),
    Column("cost", Numeric, nullable=False, comment="quote it counts for; received: negative"),
    _moment("adopted_at", "with the transaction that added the symbol", default=True),
    comment="append-only: inventory that slots began with, and no trade of ours stands behind",
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Text, primary_key=True, comment="symbol key : epoch : sequence"),
    Column("shard", ForeignKey("shards.shard"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("bid", Numeric, comment="best bid the decision saw"),
    Column("ask", Numeric, comment="best ask the decision saw"),
    Column("exchange_ms", BigInteger, comment="venue time of that book, ms since 1970"),
    Column("causes", JSONB, nullable=False, comment="events consumed since the one before"),
    Column("cancels", JSONB, nullable=False, comment="client ids and reasons"),
    Column("places", JSONB, nullable=False, comment="client ids and reasons"),
    Column("refused", JSONB, nullable=False, comment="orders the risk gate kept back, and why"),
    _moment("decided_at", "when it was committed, before anything was sent", default=True),
    UniqueConstraint("shard", "epoch", "sequence"),
    Index(None, "shard", "decided_at"),
    Index(None, "decided_at"),
    comment="one row for each batch of orders decided; its id is the plan's workflow id",
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("decision_id", ForeignKey("decisions.decision_id"), nullable=False),
    Column("shard", ForeignKey("shards.shard"), nullable=False),
    Column("ladder_version", SmallInteger, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("purpose", Text, nullable=False, comment="entry, exit, initial, flatten or stop"),
    Column("side", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("instrument_version", Integer, nullable=False, comment="rules it was made under"),
    Column("price", Numeric, nullable=False),
    Column("quantity", Numeric, nullable=False, comment="in base"),
    Column("post_only", Boolean, nullable=False),
    Column(
        "reduce_only",
        Boolean,
        nullable=False,
        server_default="false",
        comment="of contracts: it may close a position and never open one",
    ),
    Column("reason", Text, nullable=False, comment="why it was decided"),
    Column(
        "restored",
        Boolean,
        nullable=False,
        server_default="false",
        comment="rebuilt from the exchange after a loss of the database: why it was is not known",
    ),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False, server_default=""),
    Column("venue_order_id", Text),
    Column("filled", Numeric, nullable=False, server_default="0", comment="cumulative, in base"),
    Column("cancel_requested", Boolean, nullable=False, server_default="false"),
    Column(
        "is_settled",
        Boolean,
        nullable=False,
        server_default="false",
        comment="ended, and every trade of it is recorded",
    ),
    _moment("intended_at", "when the intent was committed, before it was sent", default=True),
    _moment("updated_at", "last change of this row", default=True),
    _moment("ended_at", "when it was filled, cancelled, rejected or proven absent"),
    CheckConstraint("side IN ('buy', 'sell')", name="side"),
    CheckConstraint("quantity > 0 AND price > 0", name="positive"),
    CheckConstraint("filled BETWEEN 0 AND quantity", name="filled"),
    CheckConstraint(
        "status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled', 'filled', "
        "'cancelled', 'rejected', 'absent')",
        name="status",
    ),
    UniqueConstraint("shard", "ladder_version", "slot", "side", "generation"),
    Index(
        "orders_one_live_per_slot_side",
        "shard",
        "ladder_version",
        "slot",
        "side",
        unique=True,
        postgresql_where=LIVE_ORDER,
    ),
    Index(None, "shard", "intended_at"),
    Index("orders_unfilled_ended", "ended_at", postgresql_where=text("filled = 0")),
    Index("orders_unsettled", "shard", postgresql_where=text("NOT is_settled")),
    Index(None, "decision_id"),
    Index(None, "venue_order_id"),
    comment="every order intended: the intent is committed before the order is sent",
)

fills = Table(
    "fills",
    metadata,
    Column("account", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("trade_id", Text, primary_key=True),
    Column("shard", ForeignKey("shards.shard"), nullable=False),
    Column("venue_order_id", Text, nullable=False),
    Column("client_order_id", ForeignKey("orders.client_order_id")),
    Column("origin", Text, nullable=False, comment="own, external (a person's) or parked"),
    Column("side", Text, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("quantity", Numeric, nullable=False, comment="in base, before fees"),
    Column("fee", Numeric, nullable=False),
    Column("fee_asset", Text, nullable=False),
    Column("is_maker", Boolean, nullable=False),
    Column(
        "realised",
        Numeric,
        nullable=False,
        server_default="0",
        comment="of contracts: profit of what it closed, as the venue reckons it",
    ),
    _moment("traded_at", "venue time"),
    _moment("recorded_at", "when it was committed here", default=True),
    CheckConstraint("origin IN ('own', 'external', 'parked')", name="origin"),
    CheckConstraint("(origin = 'own') = (client_order_id IS NOT NULL)", name="own"),
    Index(None, "shard", "traded_at"),
    Index(None, "client_order_id"),
    Index(None, "account", "symbol", "recorded_at"),
    Index("fills_parked", "shard", postgresql_where=text("origin = 'parked'")),
    comment="every trade of the account in our symbols, keyed by the venue's trade id",
)

pairs = Table(
    "pairs",
    metadata,
    Column("pair", BigInteger, Identity(), primary_key=True),
    Column("shard", ForeignKey("shards.shard"), nullable=False),
    Column("ladder_version", SmallInteger, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("closing_trade_id", Text, nullable=False),
    Column("quantity", Numeric, nullable=False, comment="base closed"),
    Column("cost", Numeric, nullable=False, comment="quote paid; of a short slot negative"),
    Column("proceeds", Numeric, nullable=False, comment="quote received, less quote fees; as cost"),
    Column("fee_base", Numeric, nullable=False, comment="base fees inside the inventory's cost"),
    Column("fee_quote", Numeric, nullable=False, comment="quote fees inside cost and proceeds"),
    Column("profit", Numeric, nullable=False, comment="proceeds - cost, in quote"),
    _moment("closed_at", "venue time of the closing trade"),
    UniqueConstraint("shard", "closing_trade_id"),
    CheckConstraint("profit = proceeds - cost", name="profit"),
    comment="matched pairs: a slot's round trip from flat to flat",
)

ledger = Table(
    "ledger",
    metadata,
    Column("entry", BigInteger, Identity(), primary_key=True),
    Column("account", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="trade and fee; of contracts realised, fee, funding and transfer",
    ),
    Column("amount", Numeric, nullable=False, comment="signed change of the balance"),
    Column("symbol", Text, nullable=False, comment="empty for a transfer"),
    Column(
        "trade_id",
        Text,
        nullable=False,
        comment="of funding and transfers the venue's transaction id",
    ),
    _moment("booked_at", "venue time"),
    CheckConstraint("kind IN ('trade', 'fee', 'realised', 'funding', 'transfer')", name="kind"),
    UniqueConstraint("account", "symbol", "trade_id", "asset", "kind"),
    Index(
        "ledger_income",
        "account",
        "booked_at",
        postgresql_where=text("kind IN ('funding', 'transfer')"),
    ),
    comment="balance now - opening balance = sum of the amounts, for each asset",
)

opening_balances = Table(
    "opening_balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("amount", Numeric, nullable=False, comment="free plus locked; of contracts the wallet"),
    Column(
        "income_ms",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="of contracts: funding and transfers up to here are part of it, ms since 1970",
    ),
    _moment("recorded_at", "before the first order was sent", default=True),
    comment="what the account held when it was first used",
)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("amount", Numeric, nullable=False, comment="free plus locked"),
    _moment("read_at", "when the exchange was last asked", default=True),
    comment="what the account held when it was last looked at; ledger and opening tell how it came",
)

rate_pauses = Table(
    "rate_pauses",
    metadata,
    Column("account", Text, primary_key=True),
    _moment("told_at", "when a heartbeat told of it: void while the clock says less", default=True),
    _moment("paused_until", "no node asks the venue anything before", default=True),
    comment="the venue asked one node of the account for silence; all of them keep it",
)

positions = Table(
    "positions",
    metadata,
    Column("shard", ForeignKey("shards.shard"), primary_key=True),
    Column("quantity", Numeric, nullable=False, comment="net, in base; short: negative"),
    Column("entry_price", Numeric, nullable=False, comment="average, as the venue reckons it"),
    Column("mark_price", Numeric, nullable=False),
    Column("liquidation_price", Numeric, comment="null where no price would end it"),
    Column("initial_margin", Numeric, nullable=False, comment="of position and orders, in quote"),
    Column("maintenance_margin", Numeric, nullable=False, comment="in quote"),
    _moment("seen_at", "when the venue showed it", default=True),
    comment="contracts: a symbol's position as the last comparison found it",
)

findings = Table(
    "findings",
    metadata,
    Column("finding", BigInteger, Identity(), primary_key=True),
    Column("shard", ForeignKey("shards.shard"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="the id of what was found"),
    Column("detail", JSONB, nullable=False),
    _moment("found_at", "when it was first seen", default=True),
    UniqueConstraint("shard", "kind", "subject"),
    comment="what reconciliation found that was not as expected",
)

kill_switch = Table(
    "kill_switch",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("engaged", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column(
        "request_id",
        Text,
        nullable=False,
        comment="of the last kill: the same one again does not undo a re-arm",
    ),
    _moment("changed_at", "when it was last thrown or re-armed", default=True),
    CheckConstraint("id = 1", name="singleton"),
    comment="one row: while engaged no order is committed and all own orders are cancelled",
)

kill_switch_log = Table(
    "kill_switch_log",
    metadata,
    Column("request_id", Text, primary_key=True, comment="id of the workflow that was asked for"),
    Column("engaged", Boolean, nullable=False, comment="thrown, or else re-armed"),
    Column("reason", Text, nullable=False),
    _moment("changed_at", "when it took effect", default=True),
    Index(None, "changed_at"),
    comment="append-only: every kill and every re-arm that took effect, with its reason",
)
