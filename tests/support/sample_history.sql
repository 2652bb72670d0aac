-- A small history in which everything happened once; `sample_history.py` names its ids.

INSERT INTO instruments (account, symbol, version, base, quote, kind, tick_size, lot_size, min_quantity,
                         min_notional, maker_fee, taker_fee, base_decimals, quote_decimals)
VALUES ('sim', 'BTC/USDT', 1, 'BTC', 'USDT', 'spot', 0.01, 0.00001, 0.00001, 5, 0.0001, 0.0001, 8, 8),
       ('sim', 'ETH/USDT', 1, 'ETH', 'USDT', 'spot', 0.01, 0.0001, 0.0001, 5, 0.0001, 0.0001, 8, 8);

INSERT INTO shards (symbol_key, account, symbol, spec, desired, status, status_reason, start_price,
                    phase, instrument_version, epoch, requested_by, reconciled_at, ended_at)
VALUES ('sim-BTC-USDT', 'sim', 'BTC/USDT', '{"mode": "long", "spacing": {"kind": "arithmetic", "step": "50"},
            "range": {"kind": "window", "buy_window": 5, "sell_window": 5, "anchor": "61800"},
            "order_size": {"kind": "base", "amount": "0.001"}, "budget_quote": "1000"}', 'running', 'running', '', 61800,
        '{"stage": "running", "reason": "", "trigger_above": false, "shift": 0}', 1, 1,
        'add:sim-BTC-USDT:first', clock_timestamp() - interval '30 seconds', NULL),
       ('sim-ETH-USDT', 'sim', 'ETH/USDT', '{"mode": "long", "spacing": {"kind": "arithmetic", "step": "50"},
            "range": {"kind": "window", "buy_window": 5, "sell_window": 5, "anchor": "61800"},
            "order_size": {"kind": "base", "amount": "0.001"}, "budget_quote": "1000"}', 'removed', 'removed', '', 2680,
        '{"stage": "running", "reason": "", "trigger_above": false, "shift": 0}', 1, 3,
        'add:sim-ETH-USDT:first', NULL, clock_timestamp());

INSERT INTO ladders (shard, version, anchor, spacing)
VALUES (1, 0, 61800, '{"kind": "arithmetic", "step": "50"}'),
       (2, 0, 2680, '{"kind": "arithmetic", "step": "50"}');

INSERT INTO decisions (decision_id, shard, epoch, sequence, bid, ask, exchange_ms, causes, cancels,
                       places, refused, decided_at)
SELECT 'sim-BTC-USDT:1:' || sequence, 1, 1, sequence, bid, ask,
       CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint), CAST(causes AS jsonb),
       CAST(cancels AS jsonb), CAST(places AS jsonb), '[]', clock_timestamp() - ago
  FROM (VALUES
    (1, 61755.00, 61755.01, '["start"]', '[]',
     '[{"client_order_id": "entry000000000001", "reason": "flat below the price"},
       {"client_order_id": "entry000000000002", "reason": "flat below the price"},
       {"client_order_id": "entry000000000004", "reason": "flat below the price"}]',
     interval '2 hours'),
    (2, 61749.00, 61749.01, '["trade 101"]', '[]',
     '[{"client_order_id": "exit0000000000001", "reason": "exit of held inventory"}]',
     interval '20 minutes'),
    (3, 61799.99, 61800.01, '["trade 102", "trade 103"]',
     '[{"client_order_id": "entry000000000004", "reason": "outside the window"}]',
     '[{"client_order_id": "exit0000000000002", "reason": "exit of held inventory"}]',
     interval '10 minutes')
  ) AS row (sequence, bid, ask, causes, cancels, places, ago);

INSERT INTO orders (client_order_id, decision_id, shard, ladder_version, slot, purpose, side,
                    generation, instrument_version, price, quantity, post_only, reason, status,
                    venue_order_id, filled, cancel_requested, intended_at, ended_at)
SELECT id, 'sim-BTC-USDT:1:' || sequence, 1, 0, slot, purpose, side, 1, 1, price, 0.001, true,
       reason,
       status, venue_order_id, filled, status = 'cancelled', clock_timestamp() - ago,
       CASE WHEN status <> 'open' THEN clock_timestamp() - interval '10 minutes' END
  FROM (VALUES
    ('entry000000000001', 1, -1, 'entry', 'buy', 61750, 'flat below the price', 'filled', '9001', 0.001,
     interval '2 hours'),
    ('entry000000000002', 1, -2, 'entry', 'buy', 61700, 'flat below the price', 'filled', '9002', 0.001,
     interval '2 hours'),
    ('entry000000000004', 1, -4, 'entry', 'buy', 61600, 'flat below the price', 'cancelled', '9003', 0,
     interval '2 hours'),
    ('exit0000000000001', 2, -1, 'exit', 'sell', 61800, 'exit of held inventory', 'filled', '9004', 0.001,
     interval '20 minutes'),
    ('exit0000000000002', 3, -2, 'exit', 'sell', 61750, 'exit of held inventory', 'open', '9005', 0,
     interval '10 minutes')
  ) AS row (id, sequence, slot, purpose, side, price, reason, status, venue_order_id, filled, ago);

INSERT INTO fills (account, symbol, trade_id, shard, venue_order_id, client_order_id, origin, side,
                   price, quantity, fee, fee_asset, is_maker, traded_at)
SELECT 'sim', 'BTC/USDT', trade_id, 1, venue_order_id, id, 'own', side, price, 0.001, fee,
       fee_asset, true, clock_timestamp() - ago
  FROM (VALUES
    ('101', '9001', 'entry000000000001', 'buy', 61750, 0.006175, 'USDT', interval '21 minutes'),
    ('102', '9004', 'exit0000000000001', 'sell', 61800, 0.00618, 'USDT', interval '12 minutes'),
    ('103', '9002', 'entry000000000002', 'buy', 61700, 0.0000001, 'BTC', interval '11 minutes')
  ) AS row (trade_id, venue_order_id, id, side, price, fee, fee_asset, ago);

INSERT INTO slots (shard, ladder_version, slot, inventory, cost, closed, closed_cost, proceeds,
                   fee_base, fee_quote, buy_generation, sell_generation, trades)
VALUES (1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2),
       (1, 0, -2, 0.0009999, 61.7, 0, 0, 0, 0.0000001, 0, 1, 1, 1),
       (1, 0, -4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0);

INSERT INTO pairs (shard, ladder_version, slot, closing_trade_id, quantity, cost, proceeds,
                   fee_base, fee_quote, profit, closed_at)
VALUES (1, 0, -1, '102', 0.001, 61.756175, 61.79382, 0, 0.012355, 0.037645,
        clock_timestamp() - interval '12 minutes');

INSERT INTO ledger (account, asset, kind, amount, symbol, trade_id, booked_at)
SELECT 'sim', asset, kind, amount, 'BTC/USDT', trade_id, clock_timestamp()
  FROM (VALUES
    ('101', 'BTC', 'trade', 0.001), ('101', 'USDT', 'trade', -61.75),
    ('101', 'USDT', 'fee', -0.006175), ('102', 'BTC', 'trade', -0.001),
    ('102', 'USDT', 'trade', 61.8), ('102', 'USDT', 'fee', -0.00618),
    ('103', 'BTC', 'trade', 0.001), ('103', 'USDT', 'trade', -61.7),
    ('103', 'BTC', 'fee', -0.0000001)
  ) AS row (trade_id, asset, kind, amount);

INSERT INTO opening_balances (account, asset, amount)
VALUES ('sim', 'BTC', 0), ('sim', 'USDT', 1000);

INSERT INTO findings (shard, kind, subject, detail)
VALUES (1, 'external_trade', '77', '{"side": "buy", "quantity": "0.5"}');

INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, executor_id, created_at,
                                  updated_at, completed_at, priority, was_forked_from,
                                  rate_limited, recovery_attempts)
SELECT id, status, name, queue, 'node-1', ms, ms + 5, CASE WHEN status <> 'PENDING' THEN ms + 5 END,
       0, false, false, 1
  FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS ms) now, (VALUES
    ('add:sim-BTC-USDT:first', 'SUCCESS', 'apply_change', 'changes'),
    ('run_shard:sim-BTC-USDT:1', 'PENDING', 'run_shard', 'shards'),
    ('sim-BTC-USDT:1:2', 'SUCCESS', 'execute_plan', NULL),
    ('sim-BTC-USDT:1:4', 'ERROR', 'execute_plan', NULL),
    ('run_shard:sim-ETH-USDT:2', 'SUCCESS', 'run_shard', 'shards')
  ) AS row (id, status, name, queue);

INSERT INTO dbos.workflow_input (workflow_uuid, inputs, retention_timestamp)
VALUES ('sim-BTC-USDT:1:2', '{"positionalArgs": [{"decision_id": "sim-BTC-USDT:1:2"}], "namedArgs": {}}', 0);

INSERT INTO dbos.workflow_output (workflow_uuid, output, error, retention_timestamp)
VALUES ('sim-BTC-USDT:1:2', '{"orders": {"exit0000000000001": "open"}}', NULL, 0),
       ('sim-BTC-USDT:1:4', NULL, '{"name": "InvariantViolation", "message": "crossed"}', 0);

INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, output,
                                    started_at_epoch_ms, completed_at_epoch_ms,
                                    retention_timestamp)
SELECT 'sim-BTC-USDT:1:2', 1, 'submit', '{"orders": {"exit0000000000001": "open"}}', ms, ms + 4, 0
  FROM (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS ms) now;
