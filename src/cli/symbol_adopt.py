"""What `gridkeeper symbol add --adopt-position` would take over, without any effect."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from cli.context import load, with_database
from cli.render import Column, print_json, show_lines, show_rows, words
from cli.session import Format, Session
from domain.errors import ConfigurationError
from grid.check import check_spec
from grid.spec import GridSpec
from orchestrator.adoption import AdoptedSlot, Adoption, find_adoption
from orchestrator.bootstrap import Database, open_exchange
from orchestrator.market import market_now
from orchestrator.opening import adoptable_base
from orchestrator.requests import AdoptRequest, checked_spec
from store.registry import Registry

_SLOTS: tuple[Column[AdoptedSlot], ...] = (
    Column("slot", lambda slot: slot.slot),
    Column("inventory", lambda slot: slot.inventory),
    Column("cost", lambda slot: slot.cost),
    Column("exit price", lambda slot: slot.exit_price),
    Column("exit quantity", lambda slot: slot.exit_quantity),
)


def adopt_request(*, adopts: bool, quantity: str | None) -> AdoptRequest | None:
    """What the options ask for; `None` if they ask for nothing."""
    if not adopts:
        if quantity is not None:
            raise _wrong("--adopt-quantity", "must go with --adopt-position", quantity)
        return None
    try:
        amount = None if quantity is None else Decimal(quantity)
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount is not None and not (amount.is_finite() and amount > 0):
        raise _wrong("--adopt-quantity", "must be a number > 0", quantity)
    return AdoptRequest(amount)


def preview_adoption(
    session: Session,
    symbol: str,
    spec: Mapping[str, object],
    asked: AdoptRequest | None,
    output: Format,
) -> None:
    """Look at the account and its trades, and show the slots that they would make."""
    if asked is None:
        raise _wrong("--preview", "must go with --adopt-position", True)
    wanted = GridSpec.model_validate(checked_spec(spec))

    async def look(database: Database) -> Adoption:
        exchange = open_exchange(load(session))
        try:
            instrument, _, price = await market_now(exchange, symbol)
            check_spec(wanted, instrument, price)
            held = await Registry(database.engine).held_inventory(exchange.account, instrument.base)
            return await find_adoption(
                exchange,
                instrument,
                wanted,
                price,
                free=await adoptable_base(exchange, instrument, held),
                quantity=asked.quantity,
            )
        finally:
            await exchange.close()

    found = with_database(session, look, may_create=True)
    if output is Format.JSON:
        print_json(found)
        return
    show_rows(found.slots, _SLOTS, output, empty="no slots")
    show_lines(
        [
            f"adopts {words(found.quantity)}, which cost {words(found.cost)} by {found.cost_from}",
            f"left over: {words(found.left_over)}",
        ]
    )


def _wrong(field: str, rule: str, value: object) -> ConfigurationError:
    return ConfigurationError(
        field=field, rule=rule, value=value, remedy="see `gridkeeper symbol add --help`"
    )
