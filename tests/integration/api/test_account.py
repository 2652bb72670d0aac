"""What the account's money is used for, exactly."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store.reservations import keep_balances
from support.sample_history import write_sample_history


@pytest.fixture
def sample(postgres_dsn: str) -> None:
    write_sample_history(postgres_dsn)


@pytest.mark.usefixtures("sample")
async def test_account_shows_what_is_reserved_and_free(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await keep_balances(engine, "sim", {"USDT": Decimal("2000.50")})
    answer = (await client.get("/api/v1/account")).json()
    by_asset = {asset["asset"]: asset for asset in answer["assets"]}
    usdt = by_asset["USDT"]
    assert (usdt["balance"], usdt["reserved"]) == ("2000.50", "1000")
    assert usdt["reserved_by"] == {"BTC/USDT": "1000"}
    spent = Decimal(usdt["in_inventory"])
    assert spent > 0
    assert Decimal(usdt["free"]) == Decimal("1000.50") + spent
    assert by_asset["BTC"]["balance"] is None
    assert by_asset["BTC"]["free"] is None
    assert Decimal(by_asset["BTC"]["reserved_by"]["BTC/USDT"]) > 0
    assert answer["account"] == "sim"
    assert answer["read_at"].endswith("Z")


@pytest.mark.usefixtures("sample")
async def test_metrics_show_reservations_and_the_share_of_the_rate_limits(
    anyone: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await keep_balances(engine, "sim", {"USDT": Decimal(2000)})
    lines = (await anyone.get("/metrics")).text.splitlines()
    assert 'gridkeeper_reserved{asset="USDT"} 1000.0' in lines
    assert any(line.startswith('gridkeeper_free{asset="USDT"} ') for line in lines)
    assert not any(line.startswith('gridkeeper_free{asset="BTC"}') for line in lines)
    assert "gridkeeper_rate_share 1.0" in lines
    assert "gridkeeper_rate_level 1.0" in lines
