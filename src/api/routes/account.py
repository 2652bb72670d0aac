"""The account: what its money is used for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from api.served import Running
from api.values import Exact, Moment, Record
from store.reservations import AccountUse, account_use

router = APIRouter(tags=["account"])


class Asset(Record):
    """One asset: free = balance + in_inventory - reserved."""

    asset: str = Field(examples=["USDT"])
    balance: Exact | None = Field(description="Free plus locked, as the exchange last told it.")
    reserved: Exact = Field(description="By all symbols, what they hold of it included.")
    in_inventory: Exact = Field(
        description="Of what is reserved: turned into the symbols' other assets."
    )
    free: Exact | None = Field(description="What another symbol may reserve.")
    reserved_by: dict[str, Exact] = Field(examples=[{"BTC/USDT": "1000"}])


class Account(Record):
    """Every asset that the account holds or that a symbol reserves."""

    account: str = Field(examples=["sim"])
    read_at: Moment | None = Field(description="When the exchange last told the balances.")
    assets: list[Asset]


@router.get("/account", response_model=Account)
async def show_account(served: Running) -> AccountUse:
    """Balance, reservations and what is free of each asset."""
    return await account_use(served.database.engine, served.settings.account.name)
