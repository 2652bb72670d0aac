"""The exchange as the shard sees it: one account at one venue.

All methods raise only the errors of `domain.errors`; one function of the adapter translates them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from domain.contracts import Income, Position
from domain.ids import ClientOrderId, OrderTag, VenueOrderId
from domain.instrument import Instrument
from domain.market import Candle, Quote
from domain.orders import OrderRecord, OrderReport, Trade
from domain.plans import CommittedPlan
from ext.engine import Lull

#: Called after a request is signed and right before its socket is written; raises
#: `OwnershipLost` when it must not be sent any more, and then it is not.
SendGuard = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue's API guarantees; the shard's proofs of absence rest on it."""

    #: A signed request older than this is refused by the venue; `None` where nothing expires.
    request_expiry_ms: int | None
    #: Largest skew between our clock and the venue's that the proofs allow for.
    clock_skew_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue answered with the order as it now is (also for a cancel)."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue said no. For a cancel: there is no such open order (any more)."""

    #: As in `OrderRejected.reason`; ``not_found`` for a cancel.
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Undetermined:
    """The request may or may not have had its effect."""

    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Provably nothing reached the venue: rate budget, lease, or no connection."""

    message: str


Outcome = Accepted | Refused | Undetermined | NotSent


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One outcome for each action of the plan, in the plan's order."""

    cancels: tuple[Outcome, ...]
    places: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class StreamRestored:
    """A stream is (again) connected: what happened before may have been missed."""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """A stream broke or fell silent; it is being reconnected."""

    reason: str


@dataclass(frozen=True, slots=True)
class WalletMoved:
    """Something else than a trade changed a balance, such as funding."""


class ClientIdCodec(Protocol):
    """How a venue's client order id spells the 104-bit integer of a tag."""

    def encode(self, tag: OrderTag) -> ClientOrderId: ...

    def decode(self, client_order_id: str) -> OrderTag | None:
        """The tag, or `None` for a foreign id."""
        ...


class RateSharing(Protocol):
    """The account's rate limits, which its nodes divide among themselves."""

    def share(self, nodes: int, until_boot_ms: int) -> None:
        """Use one of so many equal parts, nothing at 0, and nothing after that CLOCK_BOOTTIME.

        A process that never calls this uses all of the limits.
        """
        ...

    def pause_with(self, seconds: float) -> None:
        """Ask nothing for so long: the venue told another node to keep quiet."""
        ...

    @property
    def told_pause_s(self) -> float:
        """For how long yet the venue wants silence by what it told this process."""
        ...

    async def was_told(self) -> None:
        """Wait until the venue next tells this process to keep quiet."""
        ...

    @property
    def part(self) -> float:
        """Part of the limits that this process may use now."""
        ...

    @property
    def level(self) -> float:
        """How much of what that part allows in one burst is at hand, of 1."""
        ...


class ExchangePort(Protocol):
    @property
    def account(self) -> str: ...

    @property
    def rate(self) -> RateSharing: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def ids(self) -> ClientIdCodec: ...

    async def load_instruments(self) -> Mapping[str, Instrument]:
        """All markets of the account's kind by unified symbol, freshly loaded."""
        ...

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        """Send a committed plan: cancels first, then places. The only way to an order.

        Venue errors become outcomes. `OwnershipLost` from the guard becomes `NotSent`.
        """
        ...

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        """Cancel own orders of which nothing was committed; outcomes as of `submit`."""
        ...

    async def fetch_open_orders(self, symbol: str) -> Sequence[OrderReport]: ...

    async def fetch_newest_orders(self, symbol: str) -> Sequence[OrderReport]:
        """The account's newest orders, ended ones included, as many as are told at little cost.

        None where the venue is not known to tell them.
        """
        ...

    async def fetch_order(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport:
        """Raises `OrderNotFound` only when the venue itself said so."""
        ...

    async def fetch_trades(
        self,
        symbol: str,
        *,
        after_trade_id: str | None = None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[Trade]:
        """Own trades, oldest first and complete: pages until the venue has no more.

        `after_trade_id` is exclusive; with neither argument, all the venue still keeps.
        """
        ...

    async def fetch_last_trade_id(self, symbol: str) -> str | None:
        """Id of the newest own trade; `None` if there never was one."""
        ...

    async def fetch_quote(self, symbol: str) -> Quote: ...

    async def fetch_candles(self, symbol: str, timeframe: str, count: int) -> Sequence[Candle]:
        """The last closed candles, oldest first; `timeframe` such as ``1h``."""
        ...

    async def fetch_balances(self) -> Mapping[str, Decimal]:
        """Free plus locked, by asset; of contracts the wallet, without what positions earned."""
        ...

    async def prepare_symbol(self, symbol: str) -> int:
        """Set margin mode and leverage as the account is to have them; the leverage, 1 on spot.

        Done again it changes nothing.

        Raises
        ------
        ConfigurationError
            If the venue refuses them, as while a position is open.
        """
        ...

    async def fetch_position(self, symbol: str) -> Position:
        """The net position; only where contracts are traded."""
        ...

    async def fetch_income(self, after_ms: int) -> Sequence[Income]:
        """What moved the account's wallets beside trades from that venue time on, oldest first."""
        ...

    def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[Quote | StreamLost | StreamRestored, None]:
        """Endless; reconnects by itself. Only the latest quote is of interest.

        Quotes that `lull` keeps are not yielded. It is offered a quote only when everything before
        that has been yielded; an exchange need not use it.
        """
        ...

    def watch_account(
        self,
    ) -> AsyncGenerator[OrderReport | Trade | WalletMoved | StreamLost | StreamRestored, None]:
        """Endless order and trade events of the whole account; none is dropped."""
        ...

    async def close(self) -> None: ...


class DeadManSwitch(Protocol):
    """Has the venue cancel a symbol's orders, whoever placed them, once it is not set again."""

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        """How long to set it to for so many symbols of this process.

        More than wanted where feeding them all would use up the rate limits; 0 where there is no
        such switch.
        """
        ...

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        """Cancel the symbol's orders that long from now unless set again; 0 switches it off.

        Raises
        ------
        OwnershipLost
            From the guard: nothing was sent.
        """
        ...


class ExchangeArchive(ExchangePort, Protocol):
    """An exchange that tells old orders too: what a lost database is rebuilt from."""

    async def fetch_orders(self, symbol: str) -> Sequence[OrderRecord]:
        """Every order of the account that the venue still tells, oldest first.

        Raises
        ------
        ConfigurationError
            If the venue is not known to tell all of them.
        """
        ...


class KeyHolder(Protocol):
    """Signs with keys that may be changed while it is in use."""

    def take_keys(self, api_key: str, api_secret: str, api_passphrase: str) -> bool:
        """Sign with these from now on; whether they are others than before."""
        ...

    async def keys_were_refused(self) -> None:
        """Wait until the venue next refuses the keys."""
        ...


class VenueAdapter(ExchangeArchive, DeadManSwitch, KeyHolder, Protocol):
    """All that is asked of a venue's adapter."""
