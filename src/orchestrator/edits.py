"""Another spec for a symbol that is traded: `update`, and `revert` to an earlier version."""

from __future__ import annotations

from decimal import Decimal

from domain.errors import ConfigurationError
from grid.edits import edit_grid
from grid.spec import GridSpec
from orchestrator.documents import instrument_document, instrument_of, report_document
from orchestrator.market import market_now
from orchestrator.rows import SpecRows
from orchestrator.workflows import Document
from ports.exchange import ExchangePort
from risk.reservations import PortfolioLimits
from store.reservations import Room
from store.specs import Look, SpecRequest, check_version, not_traded


class Edits:
    """The first two steps of `apply_change` for a spec."""

    def __init__(self, specs: SpecRows, exchange: ExchangePort) -> None:
        self._specs = specs
        self._exchange = exchange

    async def prepare(self, change: Document) -> Document:
        """What can refuse it now: the market's rules and the price. The money is judged at last.

        Raises
        ------
        ConfigurationError
            If the spec, on this grid, breaks a rule.
        RequestRefused
            If the symbol is not traded, or has no price.
        """
        symbol = str(change["symbol"])
        now = await self._specs.look(str(change["account"]), symbol)
        if now is None:
            raise not_traded(str(change["account"]), symbol)
        check_version(symbol, now.claim.spec_version, change.get("expected_version"))
        wanted = await self._wanted(change, now)
        instrument, _, price = await market_now(self._exchange, symbol)
        edited = edit_grid(now.standing, wanted, instrument, price)
        balances = await self._exchange.fetch_balances()
        return {
            "outcome": "prepared",
            "price": str(price),
            "spec": wanted.model_dump(mode="json"),
            "instrument": instrument_document(instrument),
            "balances": {
                asset: str(balances.get(asset, Decimal(0)))
                for asset in (instrument.base, instrument.quote)
            },
            "check": report_document(edited.report),
        }

    async def record(
        self, change: Document, prepared: Document, workflow_id: str, limits: PortfolioLimits
    ) -> Document:
        """Make it the current version, judged once more on the grid as it stands by then."""
        wanted = GridSpec.model_validate(prepared["spec"])
        instrument, price = instrument_of(prepared["instrument"]), Decimal(prepared["price"])
        symbol = str(change["symbol"])
        made = await self._specs.update(
            SpecRequest(
                account=str(change["account"]),
                symbol=symbol,
                note=str(change.get("note", "")),
                expected_version=change.get("expected_version"),
                workflow_id=workflow_id,
            ),
            lambda now: edit_grid(now, wanted, instrument, price),
            Room(
                balances={asset: Decimal(has) for asset, has in prepared["balances"].items()},
                limits=limits,
            ),
        )
        return {
            "outcome": "recorded",
            "symbol": symbol,
            "shard": made.shard,
            "version": made.version,
            "ladder_version": made.ladder_version,
            "check": prepared["check"],
        }

    async def _wanted(self, change: Document, now: Look) -> GridSpec:
        if "to" not in change:
            return GridSpec.model_validate(change["spec"])
        version = int(change["to"])
        spec = await self._specs.spec(now.claim.ownership.shard, version)
        if spec is None:
            raise ConfigurationError(
                field="to",
                rule=f"must be a version of {now.claim.symbol}, 1 to {now.claim.spec_version}",
                value=version,
                remedy="see `gridkeeper symbol versions`",
            )
        return spec
