"""What only accounts that trade contracts are asked, in Binance's words.

ccxt's unified calls would ask for more than is needed here, beside the rate budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from domain.contracts import Income, IncomeKind, MarginMode, Position
from domain.errors import ConfigurationError
from exchanges.conversions import Structure, to_decimal

#: Movements told in one request.
INCOME_PAGE = 1_000
#: By the venue's words: what moves a wallet and comes with no trade.
INCOME_KINDS: Mapping[str, IncomeKind] = MappingProxyType(
    {"FUNDING_FEE": IncomeKind.FUNDING, "TRANSFER": IncomeKind.TRANSFER}
)
_MARGIN_TYPES = {MarginMode.CROSS: "CROSSED", MarginMode.ISOLATED: "ISOLATED"}


async def refuse_hedge_mode(client: Any) -> None:
    """Refuse an account that holds a long and a short position of one symbol apart.

    Raises
    ------
    ConfigurationError
        If it does: an exit could open the other position instead of closing its own.
    """
    if (await client.fetch_position_mode())["hedged"]:
        raise ConfigurationError(
            field="account",
            rule="must be in one-way position mode",
            value="in hedge mode",
            remedy="close its positions and switch the mode at the venue",
        )


async def set_margin(client: Any, symbol: str, leverage: int, mode: MarginMode) -> None:
    """Set a symbol's margin mode and leverage where they are not so already."""
    (known,) = await client.fapiPrivateGetSymbolConfig({"symbol": client.market_id(symbol)})
    if known["marginType"] != _MARGIN_TYPES[mode]:
        await client.set_margin_mode(mode.value, symbol)
    if int(known["leverage"]) != leverage:
        await client.set_leverage(leverage, symbol)


async def set_countdown(client: Any, symbol: str, countdown_s: int) -> None:
    """Have the venue cancel all orders of a symbol after so long; 0 takes that back."""
    await client.fapiPrivatePostCountdownCancelAll(
        {"symbol": client.market_id(symbol), "countdownTime": countdown_s * 1_000}
    )


async def fetch_wallets(client: Any) -> Mapping[str, Decimal]:
    """What trades, funding and transfers left in each wallet; ccxt's total adds open profit."""
    account = await client.fapiPrivateV3GetAccount()
    return {row["asset"]: to_decimal(row["walletBalance"]) for row in account["assets"]}


async def fetch_position(client: Any, symbol: str) -> Position:
    """The net position of a symbol."""
    rows = await client.fapiPrivateV3GetPositionRisk({"symbol": client.market_id(symbol)})
    # One row in one-way mode; none where there is neither position nor order.
    return to_position(rows[0]) if rows else Position()


def to_position(row: Structure) -> Position:
    liquidation_price = to_decimal(row["liquidationPrice"])
    return Position(
        quantity=to_decimal(row["positionAmt"]),
        entry_price=to_decimal(row["entryPrice"]),
        mark_price=to_decimal(row["markPrice"]),
        liquidation_price=liquidation_price if liquidation_price > 0 else None,
        initial_margin=to_decimal(row["initialMargin"]),
        maintenance_margin=to_decimal(row["maintMargin"]),
    )


async def fetch_income(client: Any, kind: str, after_ms: int, page: int) -> Sequence[Income]:
    """One page, counted from 1, of the movements of one of the `INCOME_KINDS`."""
    rows = await client.fapiPrivateGetIncome(
        {"incomeType": kind, "startTime": after_ms, "limit": INCOME_PAGE, "page": page}
    )
    return [to_income(row, _symbol_of(client, row)) for row in rows]


def to_income(row: Structure, symbol: str) -> Income:
    return Income(
        kind=INCOME_KINDS[row["incomeType"]],
        transaction_id=str(row["tranId"]),
        symbol=symbol,
        asset=row["asset"],
        amount=to_decimal(row["income"]),
        booked_ms=int(row["time"]),
    )


def _symbol_of(client: Any, row: Structure) -> str:
    return str(client.safe_symbol(row["symbol"], None, None, "swap")) if row["symbol"] else ""
