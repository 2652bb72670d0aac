-- A database of version 0.1.0, schema 0001_core, in the middle of its work: see
-- make_pending_history.py. Everything in it is made up by the simulated exchange.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA dbos;
CREATE FUNCTION dbos.enqueue_workflow(workflow_name text, queue_name text, positional_args json[] DEFAULT ARRAY[]::json[], named_args json DEFAULT '{}'::json, class_name text DEFAULT NULL::text, config_name text DEFAULT NULL::text, workflow_id text DEFAULT NULL::text, app_version text DEFAULT NULL::text, timeout_ms bigint DEFAULT NULL::bigint, deadline_epoch_ms bigint DEFAULT NULL::bigint, deduplication_id text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, queue_partition_key text DEFAULT NULL::text, authenticated_user text DEFAULT NULL::text, authenticated_roles text DEFAULT NULL::text, delay_until_epoch_ms bigint DEFAULT NULL::bigint, application_name text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_workflow_id TEXT;
    v_serialized_inputs TEXT;
    v_owner_xid TEXT;
    v_now BIGINT;
    v_recovery_attempts INT4 := 0;
    v_priority INT4;
    v_status TEXT;
BEGIN
    -- Validate required parameters
    IF workflow_name IS NULL OR workflow_name = '' THEN
        RAISE EXCEPTION 'Workflow name cannot be null or empty';
    END IF;
    IF queue_name IS NULL OR queue_name = '' THEN
        RAISE EXCEPTION 'Queue name cannot be null or empty';
    END IF;
    IF named_args IS NOT NULL AND jsonb_typeof(named_args::jsonb) != 'object' THEN
        RAISE EXCEPTION 'Named args must be a JSON object';
    END IF;
    IF workflow_id IS NOT NULL AND workflow_id = '' THEN
        RAISE EXCEPTION 'Workflow ID cannot be an empty string if provided.';
    END IF;
    IF delay_until_epoch_ms IS NOT NULL AND delay_until_epoch_ms < 0 THEN
        RAISE EXCEPTION 'delay_until_epoch_ms must be >= 0';
    END IF;
    v_workflow_id := COALESCE(workflow_id, gen_random_uuid()::TEXT);
    v_owner_xid := gen_random_uuid()::TEXT;
    v_priority := COALESCE(priority, 0);
    v_serialized_inputs := json_build_object(
        'positionalArgs', positional_args,
        'namedArgs', named_args
    )::TEXT;
    v_now := EXTRACT(epoch FROM now()) * 1000;
    v_status := CASE WHEN delay_until_epoch_ms IS NULL THEN 'ENQUEUED' ELSE 'DELAYED' END;
    INSERT INTO "dbos".workflow_status (
        workflow_uuid, status,
        name, class_name, config_name,
        queue_name, deduplication_id, priority, queue_partition_key,
        application_version,
        created_at, updated_at, recovery_attempts,
        workflow_timeout_ms, workflow_deadline_epoch_ms,
        parent_workflow_id, owner_xid, serialization,
        authenticated_user, authenticated_roles,
        delay_until_epoch_ms, application_name
    ) VALUES (
        v_workflow_id, v_status,
        workflow_name, class_name, config_name,
        queue_name, deduplication_id, v_priority, queue_partition_key,
        app_version,
        v_now, v_now, v_recovery_attempts,
        timeout_ms, deadline_epoch_ms,
        NULL, v_owner_xid, 'portable_json',
        authenticated_user, authenticated_roles,
        delay_until_epoch_ms, application_name
    )
    ON CONFLICT (workflow_uuid)
    DO UPDATE SET
        updated_at = EXCLUDED.updated_at;
    INSERT INTO "dbos".workflow_input (
        workflow_uuid, inputs, retention_timestamp
    ) VALUES (
        v_workflow_id, v_serialized_inputs, v_now
    )
    ON CONFLICT (workflow_uuid) DO NOTHING;
    RETURN v_workflow_id;
EXCEPTION
    WHEN unique_violation THEN
        RAISE EXCEPTION 'DBOS queue duplicated'
            USING DETAIL = format('Workflow %s with queue %s and deduplication ID %s already exists', v_workflow_id, queue_name, deduplication_id),
                ERRCODE = 'unique_violation';
END;
$$;
CREATE FUNCTION dbos.notifications_function() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    payload text := NEW.destination_uuid || '::' || NEW.topic;
BEGIN
    PERFORM pg_notify('dbos_notifications_channel', payload);
    RETURN NEW;
END;
$$;
CREATE FUNCTION dbos.send_message(destination_id text, message json, topic text DEFAULT NULL::text, message_id text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_topic TEXT := COALESCE(topic, '__null__topic__');
    v_message_id TEXT := COALESCE(message_id, gen_random_uuid()::TEXT);
BEGIN
    INSERT INTO "dbos".notifications (
        destination_uuid, topic, message, message_uuid, serialization
    ) VALUES (
        destination_id, v_topic, message, v_message_id, 'portable_json'
    )
    ON CONFLICT (message_uuid) DO NOTHING;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'DBOS non-existent workflow'
            USING DETAIL = format('Destination workflow %s does not exist', destination_id),
                ERRCODE = 'foreign_key_violation';
END;
$$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE dbos.application_versions (
    version_id text NOT NULL,
    version_name text NOT NULL,
    version_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_name text
);
CREATE TABLE dbos.dbos_migrations (
    version bigint NOT NULL
);
CREATE TABLE dbos.event_dispatch_kv (
    service_name text NOT NULL,
    workflow_fn_name text NOT NULL,
    key text NOT NULL,
    value text,
    update_seq numeric(38,0),
    update_time numeric(38,15)
);
CREATE TABLE dbos.notifications (
    message_uuid text DEFAULT gen_random_uuid() NOT NULL,
    destination_uuid text NOT NULL,
    topic text,
    message text NOT NULL,
    created_at_epoch_ms bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    serialization text,
    consumed boolean DEFAULT false NOT NULL,
    consumed_by_function_id integer
);
CREATE TABLE dbos.operation_outputs (
    workflow_uuid text NOT NULL,
    function_id integer NOT NULL,
    function_name text DEFAULT ''::text NOT NULL,
    output text,
    error text,
    child_workflow_id text,
    started_at_epoch_ms bigint,
    completed_at_epoch_ms bigint,
    serialization text,
    application_name text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE dbos.queues (
    queue_id text DEFAULT (gen_random_uuid())::text NOT NULL,
    name text NOT NULL,
    concurrency integer,
    worker_concurrency integer,
    rate_limit_max integer,
    rate_limit_period_sec double precision,
    priority_enabled boolean DEFAULT false NOT NULL,
    partition_queue boolean DEFAULT false NOT NULL,
    polling_interval_sec double precision DEFAULT 1.0 NOT NULL,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    updated_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_name text,
    partition_concurrency integer,
    partition_worker_concurrency integer,
    partition_rate_limit_max integer,
    partition_rate_limit_period_sec double precision
);
CREATE TABLE dbos.streams (
    workflow_uuid text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    "offset" integer NOT NULL,
    function_id integer DEFAULT 0 NOT NULL,
    serialization text
);
CREATE TABLE dbos.workflow_events (
    workflow_uuid text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    serialization text
);
CREATE TABLE dbos.workflow_events_history (
    workflow_uuid text NOT NULL,
    function_id integer NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    serialization text
);
CREATE TABLE dbos.workflow_input (
    workflow_uuid text NOT NULL,
    inputs text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE dbos.workflow_output (
    workflow_uuid text NOT NULL,
    output text,
    error text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE dbos.workflow_schedules (
    schedule_id text NOT NULL,
    schedule_name text NOT NULL,
    workflow_name text NOT NULL,
    workflow_class_name text,
    schedule text NOT NULL,
    status text DEFAULT 'ACTIVE'::text NOT NULL,
    context text NOT NULL,
    last_fired_at text,
    automatic_backfill boolean DEFAULT false NOT NULL,
    cron_timezone text,
    queue_name text,
    application_name text
);
CREATE TABLE dbos.workflow_status (
    workflow_uuid text NOT NULL,
    status text,
    name text,
    authenticated_user text,
    assumed_role text,
    authenticated_roles text,
    request text,
    output text,
    error text,
    executor_id text,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    updated_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_version text,
    application_id text,
    class_name character varying(255) DEFAULT NULL::character varying,
    config_name character varying(255) DEFAULT NULL::character varying,
    recovery_attempts bigint DEFAULT 0,
    queue_name text,
    workflow_timeout_ms bigint,
    workflow_deadline_epoch_ms bigint,
    inputs text,
    started_at_epoch_ms bigint,
    deduplication_id text,
    priority integer DEFAULT 0 NOT NULL,
    queue_partition_key text,
    forked_from text,
    owner_xid text,
    parent_workflow_id text,
    serialization text,
    delay_until_epoch_ms bigint,
    was_forked_from boolean DEFAULT false NOT NULL,
    rate_limited boolean DEFAULT false NOT NULL,
    completed_at bigint,
    attributes jsonb,
    schedule_name text,
    debounce_deadline_epoch_ms bigint,
    is_debounced boolean DEFAULT false NOT NULL,
    application_name text,
    creator_xid text
);
CREATE TABLE public.adoptions (
    shard integer NOT NULL,
    ladder_version smallint NOT NULL,
    slot integer NOT NULL,
    quantity numeric NOT NULL,
    cost numeric NOT NULL,
    adopted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.balances (
    account text NOT NULL,
    asset text NOT NULL,
    amount numeric NOT NULL,
    read_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.change_starts (
    workflow_id text NOT NULL,
    executor_id text NOT NULL,
    starts smallint NOT NULL
);
CREATE TABLE public.decisions (
    decision_id text NOT NULL,
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    bid numeric,
    ask numeric,
    exchange_ms bigint,
    causes jsonb NOT NULL,
    cancels jsonb NOT NULL,
    places jsonb NOT NULL,
    refused jsonb NOT NULL,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.fills (
    account text NOT NULL,
    symbol text NOT NULL,
    trade_id text NOT NULL,
    shard integer NOT NULL,
    venue_order_id text NOT NULL,
    client_order_id text,
    origin text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    fee numeric NOT NULL,
    fee_asset text NOT NULL,
    is_maker boolean NOT NULL,
    realised numeric DEFAULT '0'::numeric NOT NULL,
    traded_at timestamp with time zone,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT fills_origin_check CHECK ((origin = ANY (ARRAY['own'::text, 'external'::text, 'parked'::text]))),
    CONSTRAINT fills_own_check CHECK (((origin = 'own'::text) = (client_order_id IS NOT NULL)))
);
CREATE TABLE public.findings (
    finding bigint NOT NULL,
    shard integer NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL,
    found_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE public.findings ALTER COLUMN finding ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.findings_finding_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.installation (
    id smallint NOT NULL,
    nonce integer NOT NULL,
    exchange text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    restored_at timestamp with time zone,
    restored_since timestamp with time zone,
    CONSTRAINT installation_singleton_check CHECK ((id = 1))
);
CREATE TABLE public.instruments (
    account text NOT NULL,
    symbol text NOT NULL,
    version integer NOT NULL,
    base text NOT NULL,
    quote text NOT NULL,
    kind text NOT NULL,
    tick_size numeric NOT NULL,
    lot_size numeric NOT NULL,
    min_quantity numeric NOT NULL,
    min_notional numeric NOT NULL,
    maker_fee numeric NOT NULL,
    taker_fee numeric NOT NULL,
    base_decimals smallint NOT NULL,
    quote_decimals smallint NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT instruments_kind_check CHECK ((kind = ANY (ARRAY['spot'::text, 'linear'::text])))
);
CREATE TABLE public.kill_switch (
    id smallint NOT NULL,
    engaged boolean NOT NULL,
    reason text NOT NULL,
    request_id text NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT kill_switch_singleton_check CHECK ((id = 1))
);
CREATE TABLE public.kill_switch_log (
    request_id text NOT NULL,
    engaged boolean NOT NULL,
    reason text NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.ladders (
    shard integer NOT NULL,
    version smallint NOT NULL,
    anchor numeric NOT NULL,
    spacing jsonb NOT NULL,
    pivot integer DEFAULT 0 NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ladders_version_check CHECK (((version >= 0) AND (version <= 255)))
);
CREATE TABLE public.ledger (
    entry bigint NOT NULL,
    account text NOT NULL,
    asset text NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    symbol text NOT NULL,
    trade_id text NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT ledger_kind_check CHECK ((kind = ANY (ARRAY['trade'::text, 'fee'::text, 'realised'::text, 'funding'::text, 'transfer'::text])))
);
ALTER TABLE public.ledger ALTER COLUMN entry ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.ledger_entry_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.nodes (
    executor_id text NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid integer NOT NULL,
    pid_started bigint NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    capacity integer DEFAULT 500 NOT NULL,
    is_draining boolean DEFAULT false NOT NULL,
    exchange_at timestamp with time zone
);
CREATE TABLE public.opening_balances (
    account text NOT NULL,
    asset text NOT NULL,
    amount numeric NOT NULL,
    income_ms bigint DEFAULT '0'::bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.orders (
    client_order_id text NOT NULL,
    decision_id text NOT NULL,
    shard integer NOT NULL,
    ladder_version smallint NOT NULL,
    slot integer NOT NULL,
    purpose text NOT NULL,
    side text NOT NULL,
    generation integer NOT NULL,
    instrument_version integer NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    post_only boolean NOT NULL,
    reduce_only boolean DEFAULT false NOT NULL,
    reason text NOT NULL,
    restored boolean DEFAULT false NOT NULL,
    status text NOT NULL,
    status_reason text DEFAULT ''::text NOT NULL,
    venue_order_id text,
    filled numeric DEFAULT '0'::numeric NOT NULL,
    cancel_requested boolean DEFAULT false NOT NULL,
    is_settled boolean DEFAULT false NOT NULL,
    intended_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT orders_filled_check CHECK (((filled >= (0)::numeric) AND (filled <= quantity))),
    CONSTRAINT orders_positive_check CHECK (((quantity > (0)::numeric) AND (price > (0)::numeric))),
    CONSTRAINT orders_side_check CHECK ((side = ANY (ARRAY['buy'::text, 'sell'::text]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['intended'::text, 'sent'::text, 'unknown'::text, 'open'::text, 'partially_filled'::text, 'filled'::text, 'cancelled'::text, 'rejected'::text, 'absent'::text])))
);
CREATE TABLE public.pairs (
    pair bigint NOT NULL,
    shard integer NOT NULL,
    ladder_version smallint NOT NULL,
    slot integer NOT NULL,
    closing_trade_id text NOT NULL,
    quantity numeric NOT NULL,
    cost numeric NOT NULL,
    proceeds numeric NOT NULL,
    fee_base numeric NOT NULL,
    fee_quote numeric NOT NULL,
    profit numeric NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT pairs_profit_check CHECK ((profit = (proceeds - cost)))
);
ALTER TABLE public.pairs ALTER COLUMN pair ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pairs_pair_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.positions (
    shard integer NOT NULL,
    quantity numeric NOT NULL,
    entry_price numeric NOT NULL,
    mark_price numeric NOT NULL,
    liquidation_price numeric,
    initial_margin numeric NOT NULL,
    maintenance_margin numeric NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.rate_pauses (
    account text NOT NULL,
    told_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    paused_until timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.shards (
    shard integer NOT NULL,
    symbol_key text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    spec jsonb NOT NULL,
    spec_version integer DEFAULT 1 NOT NULL,
    leverage integer DEFAULT 1 NOT NULL,
    found_position numeric DEFAULT '0'::numeric NOT NULL,
    spec_ms bigint DEFAULT '0'::bigint NOT NULL,
    taken_version integer,
    desired text NOT NULL,
    desired_ms bigint DEFAULT '0'::bigint NOT NULL,
    status text NOT NULL,
    status_reason text DEFAULT ''::text NOT NULL,
    start_price numeric NOT NULL,
    phase jsonb NOT NULL,
    ladder_version smallint DEFAULT '0'::smallint NOT NULL,
    instrument_version integer NOT NULL,
    epoch bigint DEFAULT '0'::bigint NOT NULL,
    owner text,
    placed_on text,
    pinned_to text,
    starts smallint DEFAULT '0'::smallint NOT NULL,
    quarantined_at timestamp with time zone,
    requested_by text NOT NULL,
    reconciled_trade_id text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    reconciled_at timestamp with time zone,
    reconcile_asked_at timestamp with time zone,
    ended_at timestamp with time zone,
    CONSTRAINT shards_desired_check CHECK ((desired = ANY (ARRAY['running'::text, 'paused'::text, 'closed'::text, 'removed'::text]))),
    CONSTRAINT shards_status_check CHECK ((status = ANY (ARRAY['starting'::text, 'waiting'::text, 'running'::text, 'paused'::text, 'halted'::text, 'closing'::text, 'stopped'::text, 'removing'::text, 'removed'::text])))
);
ALTER TABLE public.shards ALTER COLUMN shard ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.shards_shard_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 65535
    CACHE 1
);
CREATE TABLE public.slots (
    shard integer NOT NULL,
    ladder_version smallint NOT NULL,
    slot integer NOT NULL,
    inventory numeric NOT NULL,
    cost numeric NOT NULL,
    closed numeric NOT NULL,
    closed_cost numeric NOT NULL,
    proceeds numeric NOT NULL,
    fee_base numeric NOT NULL,
    fee_quote numeric NOT NULL,
    buy_generation integer DEFAULT 0 NOT NULL,
    sell_generation integer DEFAULT 0 NOT NULL,
    trades integer DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE public.specs (
    shard integer NOT NULL,
    version integer NOT NULL,
    spec jsonb NOT NULL,
    ladder_version smallint NOT NULL,
    requested_by text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
INSERT INTO dbos.application_versions VALUES
	('27205413-e0bb-4027-927b-022c14468dea', '1', 1795338490564, 1795338490564, 'gridkeeper');
INSERT INTO dbos.dbos_migrations VALUES
	(125);
INSERT INTO dbos.operation_outputs VALUES
	('add:sim-BTC-USDT:half-way', 1, 'prepare', '{"outcome":"prepared","price":"61774.99000000","spec":{"mode":"long","spacing":{"kind":"geometric","ratio":"1.0005"},"range":{"kind":"window","buy_window":3,"sell_window":3,"anchor":null},"order_size":{"kind":"quote","amount":"50"},"placement_buffer":"0.1","budget_quote":"1000","base_inventory":null,"max_open_orders":200,"price_collar":"0.5","skew":null,"volatility":null,"trailing":null,"trigger_price":null,"initial_position":false,"stop_loss":null,"take_profit":null,"on_stop":"keep","slippage":"0.005"},"instrument":{"account":"sim","symbol":"BTC/USDT","base":"BTC","quote":"USDT","kind":"spot","version":1,"tick_size":"0.01","lot_size":"0.00001","min_quantity_lots":1,"min_notional":"5.00000000","maker_fee":"0.00010000","taker_fee":"0.00010000","base_decimals":8,"quote_decimals":8},"balances":{"BTC":"0","USDT":"1000000"},"last_trade_id":null,"position":"0","income_ms":0,"leverage":1,"check":{"anchor":"61774.99","slots":"3","lowest_buy":"61682.42","highest_sell":"61774.99","order_quantity":"0.00080","profit_per_round_trip":"0.01481249","max_inventory":"0.00242","quote_needed":"149.36073139","base_needed":"0E-8"},"adoption":null}', NULL, NULL, 1795338490953, 1795338491033, 'portable_json', 'gridkeeper', 1795338491035),
	('add:sim-BTC-USDT:half-way', 2, 'record', '{"outcome":"recorded","symbol":"BTC/USDT","shard":1,"check":{"anchor":"61774.99","slots":"3","lowest_buy":"61682.42","highest_sell":"61774.99","order_quantity":"0.00080","profit_per_round_trip":"0.01481249","max_inventory":"0.00242","quote_needed":"149.36073139","base_needed":"0E-8"},"adoption":null}', NULL, NULL, 1795338491041, 1795338491071, 'portable_json', 'gridkeeper', 1795338491072);
INSERT INTO dbos.queues VALUES
	('f97b7774-0b88-479a-8ae6-6d2f9c07e125', 'shards@node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', NULL, NULL, NULL, NULL, true, false, 0.25, 1795338490522, 1795338490520, 'gridkeeper', NULL, NULL, NULL, NULL),
	('cbe958b7-ea5c-4b92-b01c-3215b009064f', 'changes', NULL, NULL, NULL, NULL, true, false, 0.25, 1795338490533, 1795338490532, 'gridkeeper', NULL, NULL, NULL, NULL);
INSERT INTO dbos.workflow_input VALUES
	('add:sim-BTC-USDT:half-way', '{"positionalArgs" : [{"verb": "add", "account": "sim", "symbol": "BTC/USDT", "spec": {"mode": "long", "spacing": {"kind": "geometric", "ratio": "1.0005"}, "range": {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": null}, "order_size": {"kind": "quote", "amount": "50"}, "placement_buffer": "0.1", "budget_quote": "1000", "base_inventory": null, "max_open_orders": 200, "price_collar": "0.5", "skew": null, "volatility": null, "trailing": null, "trigger_price": null, "initial_position": false, "stop_loss": null, "take_profit": null, "on_stop": "keep", "slippage": "0.005"}}], "namedArgs" : {}}', 1795338487446),
	('run_shard:sim-BTC-USDT:1', '{"positionalArgs" : [1], "namedArgs" : {}}', 1795338491051),
	('sim-BTC-USDT:1:1', '{"namedArgs":{},"positionalArgs":[{"plans":[{"decision_id":"sim-BTC-USDT:1:1","shard":1,"epoch":1,"symbol":"BTC/USDT","cancels":[],"places":[{"client_order_id":"24l3akdfT9DDeRPGM9","side":"buy","price":"61744.12","quantity":"0.00080","reason":"entry below the price"},{"client_order_id":"24l3akdfT9CuIH6Ozh","side":"buy","price":"61713.26","quantity":"0.00081","reason":"entry below the price"},{"client_order_id":"24l3akdfT9Caw6nX4P","side":"buy","price":"61682.42","quantity":"0.00081","reason":"entry below the price"}]}]}]}', 1795338491477),
	('add:sim-ETH-USDT:not-begun', '{"positionalArgs" : [{"verb": "add", "account": "sim", "symbol": "ETH/USDT", "spec": {"mode": "long", "spacing": {"kind": "geometric", "ratio": "1.0005"}, "range": {"kind": "window", "buy_window": 3, "sell_window": 3, "anchor": null}, "order_size": {"kind": "quote", "amount": "50"}, "placement_buffer": "0.1", "budget_quote": "1000", "base_inventory": null, "max_open_orders": 200, "price_collar": "0.5", "skew": null, "volatility": null, "trailing": null, "trigger_price": null, "initial_position": false, "stop_loss": null, "take_profit": null, "on_stop": "keep", "slippage": "0.005"}}], "namedArgs" : {}}', 1795338491514);
INSERT INTO dbos.workflow_status VALUES
	('add:sim-BTC-USDT:half-way', 'PENDING', 'apply_change', NULL, NULL, NULL, NULL, NULL, NULL, 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 1795338487446, 1795338490935, '1', NULL, NULL, NULL, 1, 'changes', NULL, NULL, NULL, 1795338490935, NULL, 0, NULL, NULL, 'b4747c9e-795e-45fb-9ce8-b5be52284f5f', NULL, 'portable_json', NULL, false, false, NULL, NULL, NULL, NULL, false, 'gridkeeper', NULL),
	('run_shard:sim-BTC-USDT:1', 'PENDING', 'run_shard', NULL, NULL, NULL, NULL, NULL, NULL, 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 1795338491051, 1795338491173, '1', NULL, NULL, NULL, 1, 'shards@node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', NULL, NULL, NULL, 1795338491173, NULL, 0, NULL, NULL, '0ef8ebe5-195d-4545-9b19-dc6e2a082b71', NULL, 'portable_json', NULL, false, false, NULL, NULL, NULL, NULL, false, 'gridkeeper', NULL),
	('sim-BTC-USDT:1:1', 'PENDING', 'execute_plan', NULL, NULL, NULL, NULL, NULL, NULL, 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 1795338491477, 1795338491477, '1', '', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, 'faf80a0a-4e25-450e-9dc3-483ea6c4eaa6', NULL, 'portable_json', NULL, false, false, NULL, 'null', NULL, NULL, false, 'gridkeeper', 'faf80a0a-4e25-450e-9dc3-483ea6c4eaa6'),
	('add:sim-ETH-USDT:not-begun', 'ENQUEUED', 'apply_change', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1795338491514, 1795338491514, '1', NULL, NULL, NULL, 0, 'changes', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '44a14368-41cd-4621-b13b-a33f4ac9c147', NULL, 'portable_json', NULL, false, false, NULL, NULL, NULL, NULL, false, 'gridkeeper', NULL);
INSERT INTO public.alembic_version VALUES
	('0001');
INSERT INTO public.balances VALUES
	('sim', 'BTC', 0, '2026-11-22 09:08:11.055592+00'),
	('sim', 'USDT', 1000000, '2026-11-22 09:08:11.055655+00');
INSERT INTO public.change_starts VALUES
	('add:sim-BTC-USDT:half-way', 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 1);
INSERT INTO public.decisions VALUES
	('sim-BTC-USDT:1:1', 1, 1, 1, 61774.82, 61774.83, 1795338491209, '["start"]', '[]', '[{"reason": "entry below the price", "client_order_id": "24l3akdfT9DDeRPGM9"}, {"reason": "entry below the price", "client_order_id": "24l3akdfT9CuIH6Ozh"}, {"reason": "entry below the price", "client_order_id": "24l3akdfT9Caw6nX4P"}]', '[]', '2026-11-22 09:08:11.466855+00');
INSERT INTO public.installation VALUES
	(1, 883138, 'binance simulator', '2026-11-22 09:08:10.465492+00', NULL, NULL);
INSERT INTO public.instruments VALUES
	('sim', 'BTC/USDT', 1, 'BTC', 'USDT', 'spot', 0.01, 0.00001, 0.00001, 5.00000000, 0.00010000, 0.00010000, 8, 8, '2026-11-22 09:08:11.060729+00');
INSERT INTO public.kill_switch VALUES
	(1, false, '', '', '2026-11-22 09:08:10.468626+00');
INSERT INTO public.ladders VALUES
	(1, 0, 61774.99000000, '{"kind": "geometric", "ratio": "1.0005"}', 0, '2026-11-22 09:08:11.062352+00');
INSERT INTO public.nodes VALUES
	('node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 'node-1', 'elsewhere', 'another-boot', 26694, 8700707, '2026-11-22 09:08:10.491961+00', '2026-11-22 09:08:10.738907+00', 500, false, NULL);
INSERT INTO public.opening_balances VALUES
	('sim', 'BTC', 0, 0, '2026-11-22 09:08:11.064426+00'),
	('sim', 'USDT', 1000000, 0, '2026-11-22 09:08:11.065114+00');
INSERT INTO public.orders VALUES
	('24l3akdfT9DDeRPGM9', 'sim-BTC-USDT:1:1', 1, 0, -1, 'entry', 'buy', 1, 1, 61744.12, 0.00080, true, false, 'entry below the price', false, 'intended', '', NULL, 0, false, false, '2026-11-22 09:08:11.46632+00', '2026-11-22 09:08:11.46632+00', NULL),
	('24l3akdfT9CuIH6Ozh', 'sim-BTC-USDT:1:1', 1, 0, -2, 'entry', 'buy', 1, 1, 61713.26, 0.00081, true, false, 'entry below the price', false, 'intended', '', NULL, 0, false, false, '2026-11-22 09:08:11.466833+00', '2026-11-22 09:08:11.466833+00', NULL),
	('24l3akdfT9Caw6nX4P', 'sim-BTC-USDT:1:1', 1, 0, -3, 'entry', 'buy', 1, 1, 61682.42, 0.00081, true, false, 'entry below the price', false, 'intended', '', NULL, 0, false, false, '2026-11-22 09:08:11.466848+00', '2026-11-22 09:08:11.466848+00', NULL);
INSERT INTO public.shards VALUES
	(1, 'sim-BTC-USDT', 'sim', 'BTC/USDT', '{"mode": "long", "skew": null, "range": {"kind": "window", "anchor": null, "buy_window": 3, "sell_window": 3}, "on_stop": "keep", "spacing": {"kind": "geometric", "ratio": "1.0005"}, "slippage": "0.005", "trailing": null, "stop_loss": null, "order_size": {"kind": "quote", "amount": "50"}, "volatility": null, "take_profit": null, "budget_quote": "1000", "price_collar": "0.5", "trigger_price": null, "base_inventory": null, "max_open_orders": 200, "initial_position": false, "placement_buffer": "0.1"}', 1, 1, 0, 1795338487446, 1, 'running', 1795338487446, 'starting', 'no price yet', 61774.99000000, '{"shift": 0, "stage": "running", "reason": "", "trigger_above": false}', 0, 1, 1, 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', 'node-1-77bdb233-6d58-481a-b36b-8e68ff57c8c2', NULL, 1, NULL, 'add:sim-BTC-USDT:half-way', NULL, '2026-11-22 09:08:11.05962+00', '2026-11-22 09:08:11.45669+00', '2026-11-22 09:08:11.450651+00', NULL, NULL);
INSERT INTO public.slots VALUES
	(1, 0, -2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, '2026-11-22 09:08:11.46618+00'),
	(1, 0, -3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, '2026-11-22 09:08:11.466306+00'),
	(1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, '2026-11-22 09:08:11.466315+00');
INSERT INTO public.specs VALUES
	(1, 1, '{"mode": "long", "skew": null, "range": {"kind": "window", "anchor": null, "buy_window": 3, "sell_window": 3}, "on_stop": "keep", "spacing": {"kind": "geometric", "ratio": "1.0005"}, "slippage": "0.005", "trailing": null, "stop_loss": null, "order_size": {"kind": "quote", "amount": "50"}, "volatility": null, "take_profit": null, "budget_quote": "1000", "price_collar": "0.5", "trigger_price": null, "base_inventory": null, "max_open_orders": 200, "initial_position": false, "placement_buffer": "0.1"}', 0, 'add:sim-BTC-USDT:half-way', '', '2026-11-22 09:08:11.063434+00');
SELECT pg_catalog.setval('public.findings_finding_seq', 1, false);
SELECT pg_catalog.setval('public.ledger_entry_seq', 1, false);
SELECT pg_catalog.setval('public.pairs_pair_seq', 1, false);
SELECT pg_catalog.setval('public.shards_shard_seq', 1, true);
ALTER TABLE ONLY dbos.application_versions
    ADD CONSTRAINT application_versions_pkey PRIMARY KEY (version_id);
ALTER TABLE ONLY dbos.application_versions
    ADD CONSTRAINT application_versions_version_name_key UNIQUE (version_name);
ALTER TABLE ONLY dbos.dbos_migrations
    ADD CONSTRAINT dbos_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY dbos.event_dispatch_kv
    ADD CONSTRAINT event_dispatch_kv_pkey PRIMARY KEY (service_name, workflow_fn_name, key);
ALTER TABLE ONLY dbos.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (message_uuid);
ALTER TABLE ONLY dbos.operation_outputs
    ADD CONSTRAINT operation_outputs_pkey PRIMARY KEY (workflow_uuid, function_id);
ALTER TABLE ONLY dbos.queues
    ADD CONSTRAINT queues_name_key UNIQUE (name);
ALTER TABLE ONLY dbos.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (queue_id);
ALTER TABLE ONLY dbos.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (workflow_uuid, key, "offset");
ALTER TABLE ONLY dbos.workflow_events_history
    ADD CONSTRAINT workflow_events_history_pkey PRIMARY KEY (workflow_uuid, function_id, key);
ALTER TABLE ONLY dbos.workflow_events
    ADD CONSTRAINT workflow_events_pkey PRIMARY KEY (workflow_uuid, key);
ALTER TABLE ONLY dbos.workflow_input
    ADD CONSTRAINT workflow_input_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY dbos.workflow_output
    ADD CONSTRAINT workflow_output_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY dbos.workflow_schedules
    ADD CONSTRAINT workflow_schedules_pkey PRIMARY KEY (schedule_id);
ALTER TABLE ONLY dbos.workflow_schedules
    ADD CONSTRAINT workflow_schedules_schedule_name_key UNIQUE (schedule_name);
ALTER TABLE ONLY dbos.workflow_status
    ADD CONSTRAINT workflow_status_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY public.adoptions
    ADD CONSTRAINT adoptions_pkey PRIMARY KEY (shard, ladder_version, slot);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.balances
    ADD CONSTRAINT balances_pkey PRIMARY KEY (account, asset);
ALTER TABLE ONLY public.change_starts
    ADD CONSTRAINT change_starts_pkey PRIMARY KEY (workflow_id);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (decision_id);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_shard_epoch_sequence_key UNIQUE (shard, epoch, sequence);
ALTER TABLE ONLY public.fills
    ADD CONSTRAINT fills_pkey PRIMARY KEY (account, symbol, trade_id);
ALTER TABLE ONLY public.findings
    ADD CONSTRAINT findings_pkey PRIMARY KEY (finding);
ALTER TABLE ONLY public.findings
    ADD CONSTRAINT findings_shard_kind_subject_key UNIQUE (shard, kind, subject);
ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.instruments
    ADD CONSTRAINT instruments_pkey PRIMARY KEY (account, symbol, version);
ALTER TABLE ONLY public.kill_switch_log
    ADD CONSTRAINT kill_switch_log_pkey PRIMARY KEY (request_id);
ALTER TABLE ONLY public.kill_switch
    ADD CONSTRAINT kill_switch_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ladders
    ADD CONSTRAINT ladders_pkey PRIMARY KEY (shard, version);
ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_account_symbol_trade_id_asset_kind_key UNIQUE (account, symbol, trade_id, asset, kind);
ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (entry);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (executor_id);
ALTER TABLE ONLY public.opening_balances
    ADD CONSTRAINT opening_balances_pkey PRIMARY KEY (account, asset);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (client_order_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_shard_ladder_version_slot_side_generation_key UNIQUE (shard, ladder_version, slot, side, generation);
ALTER TABLE ONLY public.pairs
    ADD CONSTRAINT pairs_pkey PRIMARY KEY (pair);
ALTER TABLE ONLY public.pairs
    ADD CONSTRAINT pairs_shard_closing_trade_id_key UNIQUE (shard, closing_trade_id);
ALTER TABLE ONLY public.positions
    ADD CONSTRAINT positions_pkey PRIMARY KEY (shard);
ALTER TABLE ONLY public.rate_pauses
    ADD CONSTRAINT rate_pauses_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.shards
    ADD CONSTRAINT shards_pkey PRIMARY KEY (shard);
ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (shard, ladder_version, slot);
ALTER TABLE ONLY public.specs
    ADD CONSTRAINT specs_pkey PRIMARY KEY (shard, version);
ALTER TABLE ONLY public.specs
    ADD CONSTRAINT specs_requested_by_key UNIQUE (requested_by);
CREATE INDEX idx_application_versions_owner_timestamp ON dbos.application_versions USING btree (application_name, version_timestamp DESC);
CREATE INDEX idx_application_versions_timestamp ON dbos.application_versions USING btree (version_timestamp DESC);
CREATE INDEX idx_operation_outputs_completed_at_function_name_v2 ON dbos.operation_outputs USING btree (completed_at_epoch_ms, function_name) INCLUDE (application_name);
CREATE INDEX idx_operation_outputs_retention ON dbos.operation_outputs USING btree (retention_timestamp);
CREATE INDEX idx_workflow_input_retention ON dbos.workflow_input USING btree (retention_timestamp);
CREATE INDEX idx_workflow_output_retention ON dbos.workflow_output USING btree (retention_timestamp);
CREATE INDEX idx_workflow_status_attributes ON dbos.workflow_status USING gin (attributes) WHERE (attributes IS NOT NULL);
CREATE INDEX idx_workflow_status_completed_at ON dbos.workflow_status USING btree (completed_at) WHERE (completed_at IS NOT NULL);
CREATE INDEX idx_workflow_status_deadline ON dbos.workflow_status USING btree (workflow_deadline_epoch_ms) WHERE ((status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text, 'DELAYED'::text])) AND (workflow_deadline_epoch_ms IS NOT NULL));
CREATE INDEX idx_workflow_status_delayed ON dbos.workflow_status USING btree (delay_until_epoch_ms) WHERE (status = 'DELAYED'::text);
CREATE INDEX idx_workflow_status_failed ON dbos.workflow_status USING btree (status, created_at) WHERE (status = ANY (ARRAY['ERROR'::text, 'CANCELLED'::text, 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'::text]));
CREATE INDEX idx_workflow_status_forked_from ON dbos.workflow_status USING btree (forked_from) WHERE (forked_from IS NOT NULL);
CREATE INDEX idx_workflow_status_in_flight_v2 ON dbos.workflow_status USING btree (queue_name, status, priority, created_at) INCLUDE (application_name) WHERE (status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text]));
CREATE INDEX idx_workflow_status_parent_workflow_id ON dbos.workflow_status USING btree (parent_workflow_id) WHERE (parent_workflow_id IS NOT NULL);
CREATE INDEX idx_workflow_status_partition_dequeue_v3 ON dbos.workflow_status USING btree (queue_name, status, queue_partition_key, priority, created_at, workflow_uuid) INCLUDE (application_name) WHERE ((status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text])) AND (queue_partition_key IS NOT NULL));
CREATE INDEX idx_workflow_status_pending ON dbos.workflow_status USING btree (created_at) WHERE (status = 'PENDING'::text);
CREATE INDEX idx_workflow_status_rate_limited ON dbos.workflow_status USING btree (queue_name, started_at_epoch_ms) WHERE (rate_limited = true);
CREATE INDEX idx_workflow_status_schedule_name ON dbos.workflow_status USING btree (schedule_name) WHERE (schedule_name IS NOT NULL);
CREATE INDEX idx_workflow_status_started_at ON dbos.workflow_status USING btree (started_at_epoch_ms) WHERE (started_at_epoch_ms IS NOT NULL);
CREATE INDEX idx_workflow_topic ON dbos.notifications USING btree (destination_uuid, topic);
CREATE UNIQUE INDEX uq_application_versions_owner_version ON dbos.application_versions USING btree (application_name, version_name) WHERE (application_name IS NOT NULL);
CREATE UNIQUE INDEX uq_application_versions_unclaimed_version ON dbos.application_versions USING btree (version_name) WHERE (application_name IS NULL);
CREATE UNIQUE INDEX uq_workflow_status_dedup_id ON dbos.workflow_status USING btree (queue_name, deduplication_id) WHERE (deduplication_id IS NOT NULL);
CREATE INDEX workflow_status_created_at_index ON dbos.workflow_status USING btree (created_at);
CREATE INDEX decisions_decided_at_index ON public.decisions USING btree (decided_at);
CREATE INDEX decisions_shard_decided_at_index ON public.decisions USING btree (shard, decided_at);
CREATE INDEX fills_account_symbol_recorded_at_index ON public.fills USING btree (account, symbol, recorded_at);
CREATE INDEX fills_client_order_id_index ON public.fills USING btree (client_order_id);
CREATE INDEX fills_parked ON public.fills USING btree (shard) WHERE (origin = 'parked'::text);
CREATE INDEX fills_shard_traded_at_index ON public.fills USING btree (shard, traded_at);
CREATE INDEX kill_switch_log_changed_at_index ON public.kill_switch_log USING btree (changed_at);
CREATE INDEX ledger_income ON public.ledger USING btree (account, booked_at) WHERE (kind = ANY (ARRAY['funding'::text, 'transfer'::text]));
CREATE INDEX orders_decision_id_index ON public.orders USING btree (decision_id);
CREATE UNIQUE INDEX orders_one_live_per_slot_side ON public.orders USING btree (shard, ladder_version, slot, side) WHERE (status = ANY (ARRAY['intended'::text, 'sent'::text, 'unknown'::text, 'open'::text, 'partially_filled'::text]));
CREATE INDEX orders_shard_intended_at_index ON public.orders USING btree (shard, intended_at);
CREATE INDEX orders_unfilled_ended ON public.orders USING btree (ended_at) WHERE (filled = (0)::numeric);
CREATE INDEX orders_unsettled ON public.orders USING btree (shard) WHERE (NOT is_settled);
CREATE INDEX orders_venue_order_id_index ON public.orders USING btree (venue_order_id);
CREATE UNIQUE INDEX shards_active_symbol ON public.shards USING btree (account, symbol) WHERE (status <> 'removed'::text);
CREATE TRIGGER dbos_notifications_trigger AFTER INSERT ON dbos.notifications FOR EACH ROW EXECUTE FUNCTION dbos.notifications_function();
ALTER TABLE ONLY dbos.notifications
    ADD CONSTRAINT notifications_destination_uuid_fkey FOREIGN KEY (destination_uuid) REFERENCES dbos.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY dbos.streams
    ADD CONSTRAINT streams_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES dbos.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY dbos.workflow_events_history
    ADD CONSTRAINT workflow_events_history_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES dbos.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY dbos.workflow_events
    ADD CONSTRAINT workflow_events_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES dbos.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY public.adoptions
    ADD CONSTRAINT adoptions_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.fills
    ADD CONSTRAINT fills_client_order_id_fkey FOREIGN KEY (client_order_id) REFERENCES public.orders(client_order_id);
ALTER TABLE ONLY public.fills
    ADD CONSTRAINT fills_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.findings
    ADD CONSTRAINT findings_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.ladders
    ADD CONSTRAINT ladders_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_decision_id_fkey FOREIGN KEY (decision_id) REFERENCES public.decisions(decision_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.pairs
    ADD CONSTRAINT pairs_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.positions
    ADD CONSTRAINT positions_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
ALTER TABLE ONLY public.specs
    ADD CONSTRAINT specs_shard_fkey FOREIGN KEY (shard) REFERENCES public.shards(shard);
