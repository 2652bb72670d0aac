"""One symbol's market: where its prices come from, and candles of its trades."""

from __future__ import annotations

from simulation.candles import Chart
from simulation.symbol import Symbol
from simulator import prices
from simulator.symbols import Rules
from simulator.units import parse_e8

#: Virtual runs are minutes: so are the candles, whatever the timeframe.
CANDLE_MS = 6_000


class Market:
    """Moves by its own dice."""

    def __init__(self, symbol: Symbol, seed: int) -> None:
        config = symbol.market
        #: As the venue writes it.
        self.name = config.name
        self.rules = Rules.of(config)
        self.feed = prices.Feed(prices.synthetic(config, seed=seed), self.rules.tick_e8)
        self.chart = Chart(CANDLE_MS)
        self.shown_e8 = parse_e8(format(config.displayed_quantity, "f"))
        #: About how far two levels are apart.
        self.step_e8 = parse_e8(format(symbol.step, "f"))
