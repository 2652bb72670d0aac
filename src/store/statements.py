"""The SQL of a shard's transactions."""

from __future__ import annotations

from sqlalchemy import text

CLAIM = text("""
    UPDATE shards
       SET epoch = epoch + 1, owner = :executor, updated_at = clock_timestamp(),
           taken_version = spec_version,
           status = CASE status WHEN 'removing' THEN status ELSE 'starting' END,
           status_reason = 'comparing with the exchange'
     WHERE shard = :shard
       AND status <> 'removed'
       AND EXISTS (SELECT FROM nodes WHERE executor_id = :executor)
       AND (owner IS NULL OR owner = :executor
            OR NOT EXISTS (SELECT FROM nodes WHERE executor_id = owner))
       AND EXISTS (SELECT FROM dbos.workflow_status
                    WHERE workflow_uuid = :workflow_id
                      AND status = 'PENDING' AND executor_id = :executor)
    RETURNING shard, epoch, symbol_key, account, symbol, spec, spec_version, start_price, phase,
              ladder_version, instrument_version, reconciled_trade_id,
              (SELECT nonce FROM installation) AS nonce
""")

INSTRUMENT = text("""
    SELECT * FROM instruments
     WHERE account = :account AND symbol = :symbol AND version = :version
""")

#: The current one last.
LADDERS = text("""
    SELECT * FROM ladders WHERE shard = :shard ORDER BY version = :current, version
""")

SLOTS = text("SELECT * FROM slots WHERE shard = :shard")

PAIRED = text("SELECT coalesce(sum(profit), 0) FROM pairs WHERE shard = :shard")

#: Live orders, and ended ones whose recorded trades do not yet add up to what was filled.
UNFINISHED_ORDERS = text("""
    SELECT orders.*, (SELECT coalesce(sum(quantity), 0) FROM fills
                       WHERE fills.client_order_id = orders.client_order_id) AS settled
      FROM orders
     WHERE shard = :shard AND NOT is_settled
""")

ONE_ORDER = text("""
    SELECT orders.*, coalesce(sum(fills.quantity), 0) AS settled
      FROM orders LEFT JOIN fills USING (client_order_id)
     WHERE orders.shard = :shard
       AND (orders.client_order_id = :order_id OR orders.venue_order_id = :order_id)
     GROUP BY orders.client_order_id
""")

PARKED_FILLS = text("SELECT * FROM fills WHERE shard = :shard AND origin = 'parked'")

NEWEST_TRADE_IDS = text("""
    SELECT trade_id FROM fills
     WHERE account = :account AND symbol = :symbol
     ORDER BY recorded_at DESC LIMIT :at_most
""")

_COMMIT_DECISIONS = """
    WITH decision AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:decisions AS jsonb)) AS decision (
            decision_id text, shard integer, epoch bigint, sequence bigint, bid numeric,
            ask numeric, exchange_ms bigint, causes jsonb, cancels jsonb, places jsonb,
            refused jsonb)
    ), owned AS MATERIALIZED (
        SELECT decision.*, shards.instrument_version
          FROM decision JOIN shards USING (shard, epoch) FOR UPDATE OF shards {patience}
    ), allowed AS MATERIALIZED (
        SELECT * FROM owned
         WHERE places = '[]' OR NOT EXISTS (SELECT FROM kill_switch WHERE engaged)
    ), place AS (
        SELECT allowed.shard, allowed.instrument_version, place.*
          FROM allowed
          JOIN jsonb_to_recordset(CAST(:places AS jsonb)) AS place (
              decision_id text, client_order_id text, ladder_version smallint, slot integer,
              purpose text, side text, generation integer, price numeric, quantity numeric,
              post_only boolean, reduce_only boolean, reason text) USING (decision_id)
    ), decided AS (
        INSERT INTO decisions (decision_id, shard, epoch, sequence, bid, ask, exchange_ms,
                               causes, cancels, places, refused)
        SELECT decision_id, shard, epoch, sequence, bid, ask, exchange_ms, causes, cancels, places,
               refused
          FROM allowed
    ), intents AS (
        INSERT INTO orders (client_order_id, decision_id, shard, ladder_version, slot, purpose,
                            side, generation, instrument_version, price, quantity, post_only,
                            reduce_only, reason, status)
        SELECT client_order_id, decision_id, shard, ladder_version, slot, purpose, side,
               generation, instrument_version, price, quantity, post_only, reduce_only, reason,
               'intended'
          FROM place
    ), generations AS (
        INSERT INTO slots (shard, ladder_version, slot, inventory, cost, closed, closed_cost,
                           proceeds, fee_base, fee_quote, buy_generation, sell_generation)
        SELECT shard, ladder_version, slot, 0, 0, 0, 0, 0, 0, 0,
               coalesce(max(generation) FILTER (WHERE side = 'buy'), 0),
               coalesce(max(generation) FILTER (WHERE side = 'sell'), 0)
          FROM place GROUP BY shard, ladder_version, slot
        ON CONFLICT (shard, ladder_version, slot) DO UPDATE
           SET buy_generation = greatest(slots.buy_generation, excluded.buy_generation),
               sell_generation = greatest(slots.sell_generation, excluded.sell_generation),
               updated_at = clock_timestamp()
    ), requested AS (
        UPDATE orders SET cancel_requested = true, updated_at = clock_timestamp()
          FROM allowed
          JOIN jsonb_to_recordset(CAST(:cancels AS jsonb)) AS cancel (
              decision_id text, client_order_id text) USING (decision_id)
         WHERE orders.client_order_id = cancel.client_order_id
    )
    SELECT decision_id, decision_id IN (SELECT decision_id FROM owned) AS is_owned,
           decision_id IN (SELECT decision_id FROM allowed) AS is_allowed
      FROM decision
"""

_RECORD_OUTCOMES = """
    WITH owned AS MATERIALIZED (
        SELECT shard, epoch
          FROM jsonb_to_recordset(CAST(:owners AS jsonb)) AS owner (shard integer, epoch bigint)
          JOIN shards USING (shard, epoch) FOR UPDATE OF shards {patience}
    ), told AS MATERIALIZED (
        SELECT outcome.*, booked.quantity AS booked
          FROM owned
          JOIN jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS outcome (
              shard integer, epoch bigint, client_order_id text, status text, status_reason text,
              venue_order_id text, filled numeric, cancel_requested boolean, is_ended boolean)
              USING (shard, epoch)
          CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS quantity FROM fills
                               WHERE fills.client_order_id = outcome.client_order_id) AS booked
    ), ended AS (
        UPDATE orders
           SET status = told.status, status_reason = told.status_reason,
               venue_order_id = coalesce(told.venue_order_id, orders.venue_order_id),
               filled = greatest(told.filled, told.booked),
               cancel_requested = told.cancel_requested, is_settled = told.filled <= told.booked,
               ended_at = coalesce(orders.ended_at, clock_timestamp()),
               updated_at = clock_timestamp()
          FROM told
         WHERE orders.client_order_id = told.client_order_id AND told.is_ended
        RETURNING orders.client_order_id
    ), rest AS (
        UPDATE orders
           SET status = told.status, status_reason = told.status_reason,
               venue_order_id = coalesce(told.venue_order_id, orders.venue_order_id),
               filled = greatest(told.filled, told.booked),
               cancel_requested = told.cancel_requested, is_settled = false, ended_at = NULL,
               updated_at = clock_timestamp()
          FROM told
         WHERE orders.client_order_id = told.client_order_id AND NOT told.is_ended
           AND (SELECT count(*) FROM ended) >= 0
    )
    SELECT shard, epoch FROM owned
"""

#: Whole decisions in one statement: nothing of one stands unless its epoch is current, and none
#: places anything while the kill switch is engaged. A shard that somebody else has locked counts
#: as not owned, so that those beside it do not wait.
COMMIT_DECISIONS_AT_ONCE = text(_COMMIT_DECISIONS.format(patience="SKIP LOCKED"))
#: The same, with its turn awaited.
COMMIT_DECISIONS = text(_COMMIT_DECISIONS.format(patience=""))

#: What became of orders and nothing else, in one statement; nothing of a shard without its epoch.
#: Those that ended make room for the others on their slot and side, which therefore wait for them.
RECORD_OUTCOMES_AT_ONCE = text(_RECORD_OUTCOMES.format(patience="SKIP LOCKED"))
RECORD_OUTCOMES = text(_RECORD_OUTCOMES.format(patience=""))

OWN_TRADE_IDS = text("SELECT trade_id FROM fills WHERE client_order_id = :client_order_id")

IS_OWNED = text("SELECT EXISTS (SELECT FROM shards WHERE shard = :shard AND epoch = :epoch)")

LOCK_OWNED = text("""
    SELECT FROM shards
     WHERE shard = :shard AND epoch = :epoch
       AND spec_version = coalesce(CAST(:spec_version AS integer), spec_version)
       FOR UPDATE
""")

UPDATE_ORDER = text("""
    UPDATE orders
       SET status = :status, status_reason = :status_reason,
           venue_order_id = coalesce(:venue_order_id, venue_order_id),
           filled = greatest(:filled, booked.quantity), cancel_requested = :cancel_requested,
           is_settled = :is_ended AND :filled <= booked.quantity,
           ended_at = CASE WHEN :is_ended THEN coalesce(ended_at, clock_timestamp()) END,
           updated_at = clock_timestamp()
      FROM (SELECT coalesce(sum(quantity), 0) AS quantity FROM fills
             WHERE client_order_id = :client_order_id) AS booked
     WHERE client_order_id = :client_order_id
""")

#: A trade is recorded once; only its attribution may still change: to an order of ours that was
#: not known or taken for absent, or to somebody else.
RECORD_FILL = text("""
    INSERT INTO fills (account, symbol, trade_id, shard, venue_order_id, client_order_id, origin,
                       side, price, quantity, fee, fee_asset, is_maker, realised, traded_at)
    VALUES (:account, :symbol, :trade_id, :shard, :venue_order_id, :client_order_id, :origin,
            :side, :price, :quantity, :fee, :fee_asset, :is_maker, :realised, :traded_at)
    ON CONFLICT (account, symbol, trade_id) DO UPDATE
       SET origin = excluded.origin, client_order_id = excluded.client_order_id
     WHERE fills.origin = 'parked' OR (fills.origin = 'external' AND excluded.origin = 'own')
    RETURNING trade_id
""")

RECORD_LEDGER = text("""
    INSERT INTO ledger (account, asset, kind, amount, symbol, trade_id, booked_at)
    VALUES (:account, :asset, :kind, :amount, :symbol, :trade_id, :booked_at)
    ON CONFLICT (account, symbol, trade_id, asset, kind) DO NOTHING
""")

RECORD_SLOT = text("""
    INSERT INTO slots (shard, ladder_version, slot, inventory, cost, closed, closed_cost, proceeds,
                       fee_base, fee_quote, buy_generation, sell_generation, trades)
    VALUES (:shard, :ladder_version, :slot, :inventory, :cost, :closed, :closed_cost, :proceeds,
            :fee_base, :fee_quote, :buy_generation, :sell_generation, :trades)
    ON CONFLICT (shard, ladder_version, slot) DO UPDATE
       SET inventory = excluded.inventory, cost = excluded.cost, closed = excluded.closed,
           closed_cost = excluded.closed_cost, proceeds = excluded.proceeds,
           fee_base = excluded.fee_base, fee_quote = excluded.fee_quote,
           trades = excluded.trades, updated_at = clock_timestamp()
""")

RECORD_PAIR = text("""
    INSERT INTO pairs (shard, ladder_version, slot, closing_trade_id, quantity, cost, proceeds,
                       fee_base, fee_quote, profit, closed_at)
    VALUES (:shard, :ladder_version, :slot, :closing_trade_id, :quantity, :cost, :proceeds,
            :fee_base, :fee_quote, :profit, :closed_at)
""")

#: A version whose slots are all flat may be used again.
RECORD_LADDER = text("""
    WITH made AS (
        INSERT INTO ladders (shard, version, anchor, spacing, pivot)
        VALUES (:shard, :version, :anchor, CAST(:spacing AS jsonb), :pivot)
        ON CONFLICT (shard, version) DO UPDATE
           SET anchor = excluded.anchor, spacing = excluded.spacing, pivot = excluded.pivot,
               made_at = clock_timestamp()
    )
    UPDATE shards SET ladder_version = :version WHERE shard = :shard
""")

#: Versions are numbered over all symbols of that name ever added; the epoch's lock is held.
RECORD_RULES = text("""
    WITH made AS (
        INSERT INTO instruments (account, symbol, version, base, quote, kind, tick_size, lot_size,
                                 min_quantity, min_notional, maker_fee, taker_fee, base_decimals,
                                 quote_decimals)
        SELECT :account, :symbol, max(version) + 1, :base, :quote, :kind, :tick_size, :lot_size,
               :min_quantity, :min_notional, :maker_fee, :taker_fee, :base_decimals,
               :quote_decimals
          FROM instruments WHERE account = :account AND symbol = :symbol
        RETURNING version
    )
    UPDATE shards SET instrument_version = (SELECT version FROM made) WHERE shard = :shard
""")

RECORD_PHASE = text("UPDATE shards SET phase = CAST(:phase AS jsonb) WHERE shard = :shard")

RECORD_FINDING = text("""
    INSERT INTO findings (shard, kind, subject, detail)
    VALUES (:shard, :kind, :subject, CAST(:detail AS jsonb))
    ON CONFLICT (shard, kind, subject) DO NOTHING
""")

MARK_RECONCILED = text("""
    UPDATE shards
       SET reconciled_trade_id = coalesce(:trade_id, reconciled_trade_id),
           reconciled_at = clock_timestamp()
     WHERE shard = :shard
""")

#: A symbol is removed only while that is what its operator wants: he may have changed his mind.
SET_STATUS = text("""
    UPDATE shards
       SET status = :status, status_reason = :reason, updated_at = clock_timestamp(),
           ended_at = CASE WHEN :status = 'removed' THEN clock_timestamp() END
     WHERE shard = :shard AND epoch = :epoch
       AND (:status <> 'removed' OR desired IN ('closed', 'removed'))
    RETURNING shard
""")

HELD_INVENTORY = text("""
    SELECT coalesce(
               sum(held.inventory + coalesce(CAST(spec ->> 'base_inventory' AS numeric), 0)), 0)
      FROM shards
      CROSS JOIN LATERAL (SELECT coalesce(sum(inventory), 0) AS inventory
                            FROM slots WHERE slots.shard = shards.shard) held
     WHERE account = :account AND status <> 'removed' AND symbol NOT LIKE '%:%'
       AND split_part(symbol, '/', 1) = :base
""")

ADD_SPEC = text("""
    INSERT INTO specs (shard, version, spec, ladder_version, requested_by, note)
    VALUES (:shard, :version, CAST(:spec AS jsonb), :ladder_version, :requested_by, :note)
""")

ADD_ADOPTION = text("""
    INSERT INTO adoptions (shard, ladder_version, slot, quantity, cost)
    VALUES (:shard, :ladder_version, :slot, :inventory, :cost)
""")

#: Trades that are not ours are netted with ours, and with what was there before both. What slots of
#: a removed shard held on to is nobody's any more, unless another shard adopted it.
HELD_POSITION = text("""
    WITH mine AS (
        SELECT shard, status <> 'removed' AS is_live, found_position FROM shards
         WHERE account = :account AND symbol = :symbol
    ), held AS (
        SELECT coalesce(sum(inventory), 0) AS ever,
               coalesce(sum(inventory) FILTER (WHERE is_live), 0) AS live
          FROM slots JOIN mine USING (shard)
    )
    SELECT held.live AS slots,
           (SELECT coalesce(sum(found_position), 0) FROM mine)
           + (SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END), 0)
                FROM fills
               WHERE account = :account AND symbol = :symbol AND origin <> 'own')
           - (SELECT coalesce(sum(quantity), 0) FROM adoptions JOIN mine USING (shard))
           + held.ever - held.live AS others
      FROM held
""")

RECORD_POSITION = text("""
    INSERT INTO positions (shard, quantity, entry_price, mark_price, liquidation_price,
                           initial_margin, maintenance_margin)
    VALUES (:shard, :quantity, :entry_price, :mark_price, :liquidation_price, :initial_margin,
            :maintenance_margin)
    ON CONFLICT (shard) DO UPDATE
       SET quantity = excluded.quantity, entry_price = excluded.entry_price,
           mark_price = excluded.mark_price, liquidation_price = excluded.liquidation_price,
           initial_margin = excluded.initial_margin,
           maintenance_margin = excluded.maintenance_margin, seen_at = clock_timestamp()
""")

ADD_INSTRUMENT = text("""
    INSERT INTO instruments (account, symbol, version, base, quote, kind, tick_size, lot_size,
                             min_quantity, min_notional, maker_fee, taker_fee, base_decimals,
                             quote_decimals)
    VALUES (:account, :symbol, :version, :base, :quote, :kind, :tick_size, :lot_size, :min_quantity,
            :min_notional, :maker_fee, :taker_fee, :base_decimals, :quote_decimals)
""")
