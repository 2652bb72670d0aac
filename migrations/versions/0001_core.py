"""The registry, decisions, orders, fills and ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "balances",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False, comment="free plus locked"),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the exchange was last asked",
        ),
        sa.PrimaryKeyConstraint("account", "asset", name=op.f("balances_pkey")),
        comment="what the account held when it was last looked at; ledger and opening tell how it came",
    )
    op.create_table(
        "change_starts",
        sa.Column("workflow_id", sa.Text(), nullable=False, comment="of the request"),
        sa.Column(
            "executor_id",
            sa.Text(),
            nullable=False,
            comment="of the process that began it last",
        ),
        sa.Column(
            "starts", sa.SmallInteger(), nullable=False, comment="by how many processes in a row"
        ),
        sa.PrimaryKeyConstraint("workflow_id", name=op.f("change_starts_pkey")),
        comment="requests at work, or whose process ended while they were",
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "nonce",
            sa.Integer(),
            nullable=False,
            comment="20 random bits inside every client order id",
        ),
        sa.Column(
            "exchange",
            sa.Text(),
            nullable=True,
            comment="venue and mode of its orders; it never changes",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this database was first used",
        ),
        sa.Column(
            "restored_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was rebuilt from the exchange; null if it never was",
        ),
        sa.Column(
            "restored_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="what ended before was left out then; null if nothing was",
        ),
        sa.CheckConstraint("id = 1", name=op.f("installation_singleton_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("installation_pkey")),
        comment="one row: who we are in every client order id",
    )
    op.create_table(
        "instruments",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="spot, or linear: perpetuals settled in quote",
        ),
        sa.Column("tick_size", sa.Numeric(), nullable=False),
        sa.Column("lot_size", sa.Numeric(), nullable=False),
        sa.Column("min_quantity", sa.Numeric(), nullable=False),
        sa.Column("min_notional", sa.Numeric(), nullable=False),
        sa.Column("maker_fee", sa.Numeric(), nullable=False, comment="rate: 0.001 = 10 bp"),
        sa.Column("taker_fee", sa.Numeric(), nullable=False, comment="rate: 0.001 = 10 bp"),
        sa.Column("base_decimals", sa.SmallInteger(), nullable=False),
        sa.Column("quote_decimals", sa.SmallInteger(), nullable=False),
        sa.Column(
            "loaded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the venue first showed these rules",
        ),
        sa.CheckConstraint("kind IN ('spot', 'linear')", name=op.f("instruments_kind_check")),
        sa.PrimaryKeyConstraint("account", "symbol", "version", name=op.f("instruments_pkey")),
        comment="trading rules as the venue published them, one row a version",
    )
    op.create_table(
        "kill_switch",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("engaged", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "request_id",
            sa.Text(),
            nullable=False,
            comment="of the last kill: the same one again does not undo a re-arm",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it was last thrown or re-armed",
        ),
        sa.CheckConstraint("id = 1", name=op.f("kill_switch_singleton_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("kill_switch_pkey")),
        comment="one row: while engaged no order is committed and all own orders are cancelled",
    )
    op.create_table(
        "kill_switch_log",
        sa.Column(
            "request_id", sa.Text(), nullable=False, comment="id of the workflow that was asked for"
        ),
        sa.Column("engaged", sa.Boolean(), nullable=False, comment="thrown, or else re-armed"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it took effect",
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("kill_switch_log_pkey")),
        comment="append-only: every kill and every re-arm that took effect, with its reason",
    )
    op.create_index(
        op.f("kill_switch_log_changed_at_index"), "kill_switch_log", ["changed_at"], unique=False
    )
    op.create_table(
        "ledger",
        sa.Column("entry", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="trade and fee; of contracts realised, fee, funding and transfer",
        ),
        sa.Column("amount", sa.Numeric(), nullable=False, comment="signed change of the balance"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="empty for a transfer"),
        sa.Column(
            "trade_id",
            sa.Text(),
            nullable=False,
            comment="of funding and transfers the venue's transaction id",
        ),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True, comment="venue time"),
        sa.CheckConstraint(
            "kind IN ('trade', 'fee', 'realised', 'funding', 'transfer')",
            name=op.f("ledger_kind_check"),
        ),
        sa.PrimaryKeyConstraint("entry", name=op.f("ledger_pkey")),
        sa.UniqueConstraint(
            "account",
            "symbol",
            "trade_id",
            "asset",
            "kind",
            name=op.f("ledger_account_symbol_trade_id_asset_kind_key"),
        ),
        comment="balance now - opening balance = sum of the amounts, for each asset",
    )
    op.create_index(
        "ledger_income",
        "ledger",
        ["account", "booked_at"],
        unique=False,
        postgresql_where=sa.text("kind IN ('funding', 'transfer')"),
    )
    op.create_table(
        "nodes",
        sa.Column(
            "executor_id", sa.Text(), nullable=False, comment="node name and a fresh uuid per start"
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column(
            "boot_id",
            sa.Text(),
            nullable=False,
            comment="of the host's kernel: with another one it counts as another host",
        ),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "pid_started", sa.BigInteger(), nullable=False, comment="kernel start ticks of the pid"
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the process joined",
        ),
        sa.Column(
            "heartbeat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="last proof of life",
        ),
        sa.Column(
            "capacity",
            sa.Integer(),
            server_default="500",
            nullable=False,
            comment="symbols it may run",
        ),
        sa.Column(
            "is_draining",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its symbols go to other nodes, and it takes none",
        ),
        sa.Column(
            "exchange_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it last reached the exchange; null before it first did",
        ),
        sa.PrimaryKeyConstraint("executor_id", name=op.f("nodes_pkey")),
        comment="processes that run shards; a missing row fences its process",
    )
    op.create_table(
        "opening_balances",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column(
            "amount",
            sa.Numeric(),
            nullable=False,
            comment="free plus locked; of contracts the wallet",
        ),
        sa.Column(
            "income_ms",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of contracts: funding and transfers up to here are part of it, ms since 1970",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="before the first order was sent",
        ),
        sa.PrimaryKeyConstraint("account", "asset", name=op.f("opening_balances_pkey")),
        comment="what the account held when it was first used",
    )
    op.create_table(
        "rate_pauses",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when a heartbeat told of it: void while the clock says less",
        ),
        sa.Column(
            "paused_until",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="no node asks the venue anything before",
        ),
        sa.PrimaryKeyConstraint("account", name=op.f("rate_pauses_pkey")),
        comment="the venue asked one node of the account for silence; all of them keep it",
    )
    op.create_table(
        "shards",
        sa.Column("shard", sa.Integer(), sa.Identity(always=False, maxvalue=65535), nullable=False),
        sa.Column(
            "symbol_key",
            sa.Text(),
            nullable=False,
            comment="account-BASE-QUOTE, of a perpetual with -perp",
        ),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column(
            "spec",
            postgresql.JSONB(),
            nullable=False,
            comment="the grid as requested, in its current version",
        ),
        sa.Column("spec_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "leverage",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="of contracts: as the account was set at the venue when the symbol was added",
        ),
        sa.Column(
            "found_position",
            sa.Numeric(),
            server_default="0",
            nullable=False,
            comment="of contracts: what was there before the first trade that is recorded, in base",
        ),
        sa.Column(
            "spec_ms",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="when that was asked for, ms since 1970: an older request does not undo it",
        ),
        sa.Column(
            "taken_version",
            sa.Integer(),
            nullable=True,
            comment="version of the spec that its owner works with; null before the first",
        ),
        sa.Column("desired", sa.Text(), nullable=False, comment="what the operator wants"),
        sa.Column(
            "desired_ms",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="when that was asked for, ms since 1970: an older request does not undo it",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="what is"),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "start_price", sa.Numeric(), nullable=False, comment="price at which the grid starts"
        ),
        sa.Column(
            "phase", postgresql.JSONB(), nullable=False, comment="where the grid is in its life"
        ),
        sa.Column("ladder_version", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("instrument_version", sa.Integer(), nullable=False),
        sa.Column(
            "epoch",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="raised by each owner",
        ),
        sa.Column(
            "owner", sa.Text(), nullable=True, comment="executor id of the node that runs it"
        ),
        sa.Column(
            "placed_on",
            sa.Text(),
            nullable=True,
            comment="executor id of the node that is to run it",
        ),
        sa.Column(
            "pinned_to",
            sa.Text(),
            nullable=True,
            comment="name of the node an operator moved it to",
        ),
        sa.Column(
            "starts",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="how often it was started since it last got through its first round",
        ),
        sa.Column(
            "quarantined_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was given up on; a resume lifts it",
        ),
        sa.Column(
            "requested_by", sa.Text(), nullable=False, comment="id of the workflow that added it"
        ),
        sa.Column(
            "reconciled_trade_id",
            sa.Text(),
            nullable=True,
            comment="every own trade up to here is recorded",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the symbol was added",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="last change of this row",
        ),
        sa.Column(
            "reconciled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="last complete comparison with the exchange",
        ),
        sa.Column(
            "reconcile_asked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when an operator last asked for a comparison",
        ),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the symbol was removed",
        ),
        sa.CheckConstraint(
            "desired IN ('running', 'paused', 'closed', 'removed')",
            name=op.f("shards_desired_check"),
        ),
        sa.CheckConstraint(
            "status IN ('starting', 'waiting', 'running', 'paused', 'halted', 'closing', 'stopped', 'removing', 'removed')",
            name=op.f("shards_status_check"),
        ),
        sa.PrimaryKeyConstraint("shard", name=op.f("shards_pkey")),
        comment="the registry: one row for each symbol ever added",
    )
    op.create_index(
        "shards_active_symbol",
        "shards",
        ["account", "symbol"],
        unique=True,
        postgresql_where=sa.text("status <> 'removed'"),
    )
    op.create_table(
        "adoptions",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("ladder_version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "quantity", sa.Numeric(), nullable=False, comment="base taken over; owed: negative"
        ),
        sa.Column(
            "cost", sa.Numeric(), nullable=False, comment="quote it counts for; received: negative"
        ),
        sa.Column(
            "adopted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="with the transaction that added the symbol",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("adoptions_shard_fkey")),
        sa.PrimaryKeyConstraint("shard", "ladder_version", "slot", name=op.f("adoptions_pkey")),
        comment="append-only: inventory that slots began with, and no trade of ours stands behind",
    )
    op.create_table(
        "decisions",
        sa.Column(
            "decision_id", sa.Text(), nullable=False, comment="symbol key : epoch : sequence"
        ),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("bid", sa.Numeric(), nullable=True, comment="best bid the decision saw"),
        sa.Column("ask", sa.Numeric(), nullable=True, comment="best ask the decision saw"),
        sa.Column(
            "exchange_ms",
            sa.BigInteger(),
            nullable=True,
            comment="venue time of that book, ms since 1970",
        ),
        sa.Column(
            "causes",
            postgresql.JSONB(),
            nullable=False,
            comment="events consumed since the one before",
        ),
        sa.Column("cancels", postgresql.JSONB(), nullable=False, comment="client ids and reasons"),
        sa.Column("places", postgresql.JSONB(), nullable=False, comment="client ids and reasons"),
        sa.Column(
            "refused",
            postgresql.JSONB(),
            nullable=False,
            comment="orders the risk gate kept back, and why",
        ),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it was committed, before anything was sent",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("decisions_shard_fkey")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("decisions_pkey")),
        sa.UniqueConstraint(
            "shard", "epoch", "sequence", name=op.f("decisions_shard_epoch_sequence_key")
        ),
        comment="one row for each batch of orders decided; its id is the plan's workflow id",
    )
    op.create_index(op.f("decisions_decided_at_index"), "decisions", ["decided_at"], unique=False)
    op.create_index(
        op.f("decisions_shard_decided_at_index"), "decisions", ["shard", "decided_at"], unique=False
    )
    op.create_table(
        "findings",
        sa.Column("finding", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="the id of what was found"),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.Column(
            "found_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it was first seen",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("findings_shard_fkey")),
        sa.PrimaryKeyConstraint("finding", name=op.f("findings_pkey")),
        sa.UniqueConstraint(
            "shard", "kind", "subject", name=op.f("findings_shard_kind_subject_key")
        ),
        comment="what reconciliation found that was not as expected",
    )
    op.create_table(
        "ladders",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("anchor", sa.Numeric(), nullable=False, comment="price of level 0; never moves"),
        sa.Column("spacing", postgresql.JSONB(), nullable=False, comment="of its levels"),
        sa.Column(
            "pivot",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="first short slot of a neutral grid",
        ),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the grid began to use it",
        ),
        sa.CheckConstraint("version BETWEEN 0 AND 255", name=op.f("ladders_version_check")),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("ladders_shard_fkey")),
        sa.PrimaryKeyConstraint("shard", "version", name=op.f("ladders_pkey")),
        comment="the ladders of each symbol; only the slots of the current one take entries",
    )
    op.create_table(
        "pairs",
        sa.Column("pair", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("ladder_version", sa.SmallInteger(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("closing_trade_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False, comment="base closed"),
        sa.Column(
            "cost", sa.Numeric(), nullable=False, comment="quote paid; of a short slot negative"
        ),
        sa.Column(
            "proceeds",
            sa.Numeric(),
            nullable=False,
            comment="quote received, less quote fees; as cost",
        ),
        sa.Column(
            "fee_base",
            sa.Numeric(),
            nullable=False,
            comment="base fees inside the inventory's cost",
        ),
        sa.Column(
            "fee_quote", sa.Numeric(), nullable=False, comment="quote fees inside cost and proceeds"
        ),
        sa.Column("profit", sa.Numeric(), nullable=False, comment="proceeds - cost, in quote"),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="venue time of the closing trade",
        ),
        sa.CheckConstraint("profit = proceeds - cost", name=op.f("pairs_profit_check")),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("pairs_shard_fkey")),
        sa.PrimaryKeyConstraint("pair", name=op.f("pairs_pkey")),
        sa.UniqueConstraint(
            "shard", "closing_trade_id", name=op.f("pairs_shard_closing_trade_id_key")
        ),
        comment="matched pairs: a slot's round trip from flat to flat",
    )
    op.create_table(
        "positions",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column(
            "quantity", sa.Numeric(), nullable=False, comment="net, in base; short: negative"
        ),
        sa.Column(
            "entry_price", sa.Numeric(), nullable=False, comment="average, as the venue reckons it"
        ),
        sa.Column("mark_price", sa.Numeric(), nullable=False),
        sa.Column(
            "liquidation_price",
            sa.Numeric(),
            nullable=True,
            comment="null where no price would end it",
        ),
        sa.Column(
            "initial_margin",
            sa.Numeric(),
            nullable=False,
            comment="of position and orders, in quote",
        ),
        sa.Column("maintenance_margin", sa.Numeric(), nullable=False, comment="in quote"),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the venue showed it",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("positions_shard_fkey")),
        sa.PrimaryKeyConstraint("shard", name=op.f("positions_pkey")),
        comment="contracts: a symbol's position as the last comparison found it",
    )
    op.create_table(
        "slots",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("ladder_version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "slot", sa.Integer(), autoincrement=False, nullable=False, comment="index on the ladder"
        ),
        sa.Column(
            "inventory",
            sa.Numeric(),
            nullable=False,
            comment="base held, dust included; owed: negative",
        ),
        sa.Column(
            "cost", sa.Numeric(), nullable=False, comment="quote paid for it; received: negative"
        ),
        sa.Column("closed", sa.Numeric(), nullable=False, comment="base closed in the open round"),
        sa.Column("closed_cost", sa.Numeric(), nullable=False, comment="what that had cost"),
        sa.Column(
            "proceeds", sa.Numeric(), nullable=False, comment="quote it brought, less quote fees"
        ),
        sa.Column("fee_base", sa.Numeric(), nullable=False, comment="base fees of the open round"),
        sa.Column(
            "fee_quote", sa.Numeric(), nullable=False, comment="quote fees of the open round"
        ),
        sa.Column("buy_generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sell_generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("trades", sa.Integer(), server_default="0", nullable=False, comment="so far"),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="last change of this row",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("slots_shard_fkey")),
        sa.PrimaryKeyConstraint("shard", "ladder_version", "slot", name=op.f("slots_pkey")),
        comment="grid slots that ever had an order: inventory, cost, generations",
    )
    op.create_table(
        "specs",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "spec", postgresql.JSONB(), nullable=False, comment="the whole grid as requested"
        ),
        sa.Column(
            "ladder_version",
            sa.SmallInteger(),
            nullable=False,
            comment="of the ladder that it began with",
        ),
        sa.Column(
            "requested_by",
            sa.Text(),
            nullable=False,
            comment="id of the workflow that asked for it",
        ),
        sa.Column(
            "note",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="why, in the operator's words",
        ),
        sa.Column(
            "made_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it became the current one",
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("specs_shard_fkey")),
        sa.PrimaryKeyConstraint("shard", "version", name=op.f("specs_pkey")),
        sa.UniqueConstraint("requested_by", name=op.f("specs_requested_by_key")),
        comment="append-only: every version of every symbol's grid",
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("ladder_version", sa.SmallInteger(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column(
            "purpose", sa.Text(), nullable=False, comment="entry, exit, initial, flatten or stop"
        ),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column(
            "instrument_version", sa.Integer(), nullable=False, comment="rules it was made under"
        ),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False, comment="in base"),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column(
            "reduce_only",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="of contracts: it may close a position and never open one",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was decided"),
        sa.Column(
            "restored",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="rebuilt from the exchange after a loss of the database: why it was is not known",
        ),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=True),
        sa.Column(
            "filled",
            sa.Numeric(),
            server_default="0",
            nullable=False,
            comment="cumulative, in base",
        ),
        sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "is_settled",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="ended, and every trade of it is recorded",
        ),
        sa.Column(
            "intended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when the intent was committed, before it was sent",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="last change of this row",
        ),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was filled, cancelled, rejected or proven absent",
        ),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("orders_side_check")),
        sa.CheckConstraint(
            "status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled', 'filled', 'cancelled', 'rejected', 'absent')",
            name=op.f("orders_status_check"),
        ),
        sa.CheckConstraint("filled BETWEEN 0 AND quantity", name=op.f("orders_filled_check")),
        sa.CheckConstraint("quantity > 0 AND price > 0", name=op.f("orders_positive_check")),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.decision_id"], name=op.f("orders_decision_id_fkey")
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("orders_shard_fkey")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("orders_pkey")),
        sa.UniqueConstraint(
            "shard",
            "ladder_version",
            "slot",
            "side",
            "generation",
            name=op.f("orders_shard_ladder_version_slot_side_generation_key"),
        ),
        comment="every order intended: the intent is committed before the order is sent",
    )
    op.create_index(op.f("orders_decision_id_index"), "orders", ["decision_id"], unique=False)
    op.create_index(
        "orders_one_live_per_slot_side",
        "orders",
        ["shard", "ladder_version", "slot", "side"],
        unique=True,
        postgresql_where=sa.text(
            "status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')"
        ),
    )
    op.create_index(
        op.f("orders_shard_intended_at_index"), "orders", ["shard", "intended_at"], unique=False
    )
    op.create_index(
        "orders_unfilled_ended",
        "orders",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("filled = 0"),
    )
    op.create_index(
        "orders_unsettled",
        "orders",
        ["shard"],
        unique=False,
        postgresql_where=sa.text("NOT is_settled"),
    )
    op.create_index(op.f("orders_venue_order_id_index"), "orders", ["venue_order_id"], unique=False)
    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column(
            "origin", sa.Text(), nullable=False, comment="own, external (a person's) or parked"
        ),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False, comment="in base, before fees"),
        sa.Column("fee", sa.Numeric(), nullable=False),
        sa.Column("fee_asset", sa.Text(), nullable=False),
        sa.Column("is_maker", sa.Boolean(), nullable=False),
        sa.Column(
            "realised",
            sa.Numeric(),
            server_default="0",
            nullable=False,
            comment="of contracts: profit of what it closed, as the venue reckons it",
        ),
        sa.Column("traded_at", sa.DateTime(timezone=True), nullable=True, comment="venue time"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it was committed here",
        ),
        sa.CheckConstraint(
            "(origin = 'own') = (client_order_id IS NOT NULL)", name=op.f("fills_own_check")
        ),
        sa.CheckConstraint(
            "origin IN ('own', 'external', 'parked')", name=op.f("fills_origin_check")
        ),
        sa.ForeignKeyConstraint(
            ["client_order_id"], ["orders.client_order_id"], name=op.f("fills_client_order_id_fkey")
        ),
        sa.ForeignKeyConstraint(["shard"], ["shards.shard"], name=op.f("fills_shard_fkey")),
        sa.PrimaryKeyConstraint("account", "symbol", "trade_id", name=op.f("fills_pkey")),
        comment="every trade of the account in our symbols, keyed by the venue's trade id",
    )
    op.create_index(
        op.f("fills_account_symbol_recorded_at_index"),
        "fills",
        ["account", "symbol", "recorded_at"],
        unique=False,
    )
    op.create_index(op.f("fills_client_order_id_index"), "fills", ["client_order_id"], unique=False)
    op.create_index(
        "fills_parked",
        "fills",
        ["shard"],
        unique=False,
        postgresql_where=sa.text("origin = 'parked'"),
    )
    op.create_index(
        op.f("fills_shard_traded_at_index"), "fills", ["shard", "traded_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("fills_shard_traded_at_index"), table_name="fills")
    op.drop_index("fills_parked", table_name="fills", postgresql_where=sa.text("origin = 'parked'"))
    op.drop_index(op.f("fills_client_order_id_index"), table_name="fills")
    op.drop_index(op.f("fills_account_symbol_recorded_at_index"), table_name="fills")
    op.drop_table("fills")
    op.drop_index(op.f("orders_venue_order_id_index"), table_name="orders")
    op.drop_index(
        "orders_unsettled", table_name="orders", postgresql_where=sa.text("NOT is_settled")
    )
    op.drop_index(
        "orders_unfilled_ended", table_name="orders", postgresql_where=sa.text("filled = 0")
    )
    op.drop_index(op.f("orders_shard_intended_at_index"), table_name="orders")
    op.drop_index(
        "orders_one_live_per_slot_side",
        table_name="orders",
        postgresql_where=sa.text(
            "status IN ('intended', 'sent', 'unknown', 'open', 'partially_filled')"
        ),
    )
    op.drop_index(op.f("orders_decision_id_index"), table_name="orders")
    op.drop_table("orders")
    op.drop_table("specs")
    op.drop_table("slots")
    op.drop_table("positions")
    op.drop_table("pairs")
    op.drop_table("ladders")
    op.drop_table("findings")
    op.drop_index(op.f("decisions_shard_decided_at_index"), table_name="decisions")
    op.drop_index(op.f("decisions_decided_at_index"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_table("adoptions")
    op.drop_index(
        "shards_active_symbol", table_name="shards", postgresql_where=sa.text("status <> 'removed'")
    )
    op.drop_table("shards")
    op.drop_table("rate_pauses")
    op.drop_table("opening_balances")
    op.drop_table("nodes")
    op.drop_index(
        "ledger_income",
        table_name="ledger",
        postgresql_where=sa.text("kind IN ('funding', 'transfer')"),
    )
    op.drop_table("ledger")
    op.drop_index(op.f("kill_switch_log_changed_at_index"), table_name="kill_switch_log")
    op.drop_table("kill_switch_log")
    op.drop_table("kill_switch")
    op.drop_table("instruments")
    op.drop_table("installation")
    op.drop_table("change_starts")
    op.drop_table("balances")
