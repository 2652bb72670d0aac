"""What of a seed's run is left out: fewer faults, accidents, symbols, and less time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulation.weather import Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Nothing by default; what is left of a run goes on much as it would."""

    #: Faults of the weather, by their names.
    without: frozenset[str] = frozenset()
    #: Numbers of the accidents that happen all the same; `None` for all.
    accidents: tuple[int, ...] | None = None
    #: When the storm is over, at the latest.
    storm_s: float | None = None
    #: Numbers of the symbols that are traded; `None` for all.
    symbols: tuple[int, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Read what `str` wrote."""
        parts = dict(part.split("=", 1) for part in text.split(";") if part)
        without = parts.pop("without", "")
        accidents, symbols = parts.pop("accidents", None), parts.pop("symbols", None)
        storm_s = parts.pop("storm_s", None)
        if parts:
            raise ValueError(f"a cut has no {', '.join(parts)}")
        return cls(
            without=frozenset(filter(None, without.split(","))),
            accidents=None if accidents is None else _numbers(accidents),
            storm_s=None if storm_s is None else float(storm_s),
            symbols=None if symbols is None else _numbers(symbols),
        )

    def __str__(self) -> str:
        parts = [f"without={','.join(sorted(self.without))}"] if self.without else []
        for name in ("accidents", "symbols"):
            numbers = getattr(self, name)
            if numbers is not None:
                parts.append(f"{name}={','.join(map(str, numbers))}")
        if self.storm_s is not None:
            parts.append(f"storm_s={self.storm_s}")
        return ";".join(parts)

    def clear(self, weather: Weather) -> Weather:
        return replace(weather, **dict.fromkeys(self.without, 0.0))

    def has_accident(self, number: int) -> bool:
        return self.accidents is None or number in self.accidents

    def has_symbol(self, number: int) -> bool:
        return self.symbols is None or number in self.symbols


WHOLE = Cut()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)
