"""Makes a restoration so: one transaction, after which its symbols are run."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import RequestRefused
from domain.ids import symbol_key
from orchestrator.restore.judgement import Restoration, SymbolRestoration
from orchestrator.restore.survey import AccountSurvey
from orchestrator.workflows import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    RUN_SHARD,
    SHARDS_QUEUE,
)
from ports.exchange import ExchangePort
from ports.store import Desired
from store.restore import RestoredAccount, RestoredSymbol, record_restored


async def record(
    engine: AsyncEngine,
    exchange: ExchangePort,
    exchange_name: str,
    seen: AccountSurvey,
    restoration: Restoration,
    request_id: str,
) -> None:
    """Write a restoration down and have its symbols run.

    Raises
    ------
    RequestRefused
        If anything speaks against it, or the database is used.
    """
    if restoration.problems or restoration.nonce is None or not restoration.symbols:
        raise RequestRefused("; ".join(restoration.problems) or "there is nothing to restore")
    leverages = {
        each.symbol: await exchange.prepare_symbol(each.symbol)
        for each in restoration.symbols
        if each.desired is Desired.RUNNING
    }
    restored = RestoredAccount(
        account=seen.account,
        nonce=restoration.nonce,
        exchange=exchange_name,
        last_shard=restoration.last_shard,
        symbols=[
            _restored(each, seen.account, leverages, request_id) for each in restoration.symbols
        ],
        balances=seen.balances,
        income_ms=seen.exchange_ms,
        since_ms=restoration.since_ms,
    )
    run = {
        "name": RUN_SHARD,
        "queue": SHARDS_QUEUE,
        "app_version": APPLICATION_VERSION,
        "app_name": APPLICATION_NAME,
    }
    await record_restored(engine, restored, run)


def _restored(
    each: SymbolRestoration, account: str, leverages: Mapping[str, int], request_id: str
) -> RestoredSymbol:
    key = symbol_key(account, each.symbol)
    return RestoredSymbol(
        shard=each.shard,
        key=key,
        spec=each.spec.model_dump(mode="json"),
        desired=each.desired,
        start_price=each.start_price,
        phase=each.phase,
        ladders=each.ladders,
        instrument=each.grid.instrument,
        rebuilt=each.rebuilt,
        last_trade_id=each.last_trade_id,
        leverage=leverages.get(each.symbol, 1),
        found_position=each.found_position,
        former=each.former_traded,
        requested_by=f"restore:{key}:{request_id}",
    )
