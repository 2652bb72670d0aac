"""A symbol of a run: its market, its trading rules and the grid that somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from domain.errors import ConfigurationError
from domain.instrument import Instrument, MarketKind
from grid.check import check_spec
from grid.ladder import spacing_of
from grid.spec import ArithmeticSpacing, GridSpec, Mode, OnStop
from simulator.symbols import SymbolConfig

ACCOUNT = "sim"
START = Decimal(100)
#: Specs drawn until one makes sense on its market.
DRAWS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """What a seed trades."""

    market: SymbolConfig
    instrument: Instrument
    spec: GridSpec

    @property
    def name(self) -> str:
        """As the core writes it."""
        return self.instrument.symbol

    @property
    def step(self) -> Decimal:
        """About how far two levels are apart."""
        spacing = spacing_of(self.spec, self.instrument)
        if isinstance(spacing, ArithmeticSpacing):
            return spacing.step
        return (START * (spacing.ratio - 1)).quantize(self.instrument.tick_size)


def draw_symbol(dice: Random, kind: MarketKind, base: str, quote: str) -> Symbol:
    """Draw a market, and specs until `check_spec` takes one.

    Raises
    ------
    ConfigurationError
        If none of `DRAWS_MAX` would do.
    """
    market, instrument = _market(dice, kind, base, quote)
    for _ in range(DRAWS_MAX - 1):
        spec = draw_spec(dice, instrument.kind)
        try:
            check_spec(spec, instrument, START)
        except ConfigurationError:
            continue
        break
    else:
        spec = draw_spec(dice, instrument.kind)
        check_spec(spec, instrument, START)
    return Symbol(market=market, instrument=instrument, spec=spec)


def _market(
    dice: Random, kind: MarketKind, base: str, quote: str
) -> tuple[SymbolConfig, Instrument]:
    """One symbol as the venue has it and as the core has it."""
    fee = dice.choice((Decimal("0.0001"), Decimal("0.0005"), Decimal(0)))
    market = SymbolConfig(
        name=base + quote,
        base=base,
        quote=quote,
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.001"),
        start_price=START,
        maker_fee=fee,
        taker_fee=fee,
        displayed_quantity=dice.choice((Decimal("0.05"), Decimal("0.2"), Decimal(2))),
        spread_ticks=dice.choice((1, 2, 10)),
        volatility_bps=Decimal(dice.choice((40, 90, 200))),
        ticks_per_s=4,
    )
    instrument = Instrument(
        account=ACCOUNT,
        symbol=f"{base}/{quote}" if kind is MarketKind.SPOT else f"{base}/{quote}:{quote}",
        base=base,
        quote=quote,
        kind=kind,
        tick_size=market.tick_size,
        lot_size=market.step_size,
        min_notional=market.min_notional,
        maker_fee=fee,
        taker_fee=fee,
    )
    return market, instrument


def draw_spec(dice: Random, kind: MarketKind, mode: Mode | None = None) -> GridSpec:
    """Of one mode, or of any; it may make no sense."""
    mode = mode or dice.choice((Mode.LONG, Mode.LONG, Mode.SHORT, Mode.NEUTRAL))
    document: dict[str, Any] = {
        "mode": mode,
        "spacing": _spacing(dice),
        "order_size": dice.choice(
            (
                {"kind": "base", "amount": dice.choice(("0.06", "0.1", "0.5"))},
                {"kind": "quote", "amount": dice.choice(("6", "20", "50"))},
            )
        ),
        "budget_quote": dice.choice(("100", "300", "5000")),
        "max_open_orders": dice.choice((200, 200, 3, 6)),
        "price_collar": dice.choice(("0.5", "0.5", "0.02")),
        "initial_position": dice.random() < 0.3,
        "on_stop": dice.choice(tuple(OnStop)),
    }
    document |= _window(dice) if dice.random() < 0.6 else _fixed(dice)
    if mode is not Mode.LONG and kind is MarketKind.SPOT:
        document["base_inventory"] = dice.choice(("0.5", "1", "3"))
    if dice.random() < 0.3:
        levels_per_slot = dice.choice(("0.5", "1", "2"))
        document["skew"] = {"levels_per_slot": levels_per_slot, "max_levels": dice.randint(1, 3)}
    if dice.random() < 0.15:
        document["trigger_price"] = _near(dice, START, dice.choice((-1, 1)), "1.5")
    for name, side in (("stop_loss", -1), ("take_profit", 1)):
        if dice.random() < 0.2:
            document[name] = _stop(dice, -side if mode is Mode.SHORT else side)
    return GridSpec.model_validate(document)


def _spacing(dice: Random) -> dict[str, str]:
    if dice.random() < 0.5:
        return {"kind": "arithmetic", "step": dice.choice(("0.20", "0.30", "0.50"))}
    return {"kind": "geometric", "ratio": dice.choice(("1.002", "1.003", "1.005"))}


def _window(dice: Random) -> dict[str, Any]:
    windows = {"buy_window": dice.randint(1, 6), "sell_window": dice.randint(1, 6)}
    document: dict[str, Any] = {"range": {"kind": "window", **windows}}
    if dice.random() < 0.4:
        scale = dice.choice(("0.05", "0.1", "0.3"))
        document["volatility"] = {"timeframe": "1m", "candles": 2, "scale": scale}
    return document


def _fixed(dice: Random) -> dict[str, Any]:
    lower, upper = _near(dice, START, -1, "4"), _near(dice, START, 1, "4")
    document: dict[str, Any] = {"range": {"kind": "fixed", "lower": lower, "upper": upper}}
    trailing = {}
    if dice.random() < 0.4:
        trailing["up_to"] = _near(dice, upper, 1, "3")
    if dice.random() < 0.4:
        trailing["down_to"] = _near(dice, lower, -1, "3")
    return document | ({"trailing": trailing} if trailing else {})


def _stop(dice: Random, side: int) -> dict[str, Decimal | str]:
    stop: dict[str, Decimal | str] = {}
    if dice.random() < 0.6:
        stop["price"] = _near(dice, START, side, "4")
    if not stop or dice.random() < 0.4:
        stop["quote"] = dice.choice(("0.2", "1", "5"))
    return stop


def _near(dice: Random, price: Decimal, side: int, at_most: str) -> Decimal:
    """A price up to so much away, to the cent."""
    cents = dice.randint(20, int(Decimal(at_most) * 100))
    return price + side * Decimal(cents) / 100
