"""What is known about each venue: its limits, guarantees and the ways ccxt has to be told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from domain.errors import ConfigurationError
from exchanges.account import AccountConfig
from exchanges.id_codecs import Base62Codec
from exchanges.rate_budget import Cost, RateLimits
from ports.exchange import Capabilities, ClientIdCodec


class Call(StrEnum):
    """The requests of the port."""

    PLACE = "place"
    CANCEL = "cancel"
    ORDER = "order"
    OPEN_ORDERS = "open_orders"
    TRADES = "trades"
    BALANCES = "balances"
    QUOTE = "quote"
    #: Best bid and ask of many symbols.
    QUOTES = "quotes"
    TIME = "time"
    MARKETS = "markets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One venue's record."""

    #: ccxt's name of it.
    ccxt_id: str
    #: All its hosts end so; the simulator answers for these and for no other.
    domain: str
    #: Part of the account stream's address that the market streams' do not have.
    account_socket: str
    #: Pause between symbols that subscribe on one socket.
    subscribe_every_s: float
    #: Whether a signed request dies at the venue after recvWindow.
    expires_requests: bool
    ids: ClientIdCodec
    limits: RateLimits
    costs: Mapping[Call, Cost]
    #: ccxt's own options.
    options: Mapping[str, object]

    def capabilities(self, account: AccountConfig) -> Capabilities:
        return Capabilities(
            request_expiry_ms=account.recv_window_ms if self.expires_requests else None,
            clock_skew_ms=account.clock_skew_ms,
        )


#: Events of one burst that ccxt keeps until they are read; what is beyond is lost silently.
CACHED_EVENTS = 10_000

BINANCE = Venue(
    ccxt_id="binance",
    domain=".binance.com",
    account_socket="ws-api",
    # Two subscriptions a symbol; a socket takes five messages a second.
    subscribe_every_s=0.5,
    expires_requests=True,
    ids=Base62Codec(),
    limits=RateLimits(weight_per_minute=6_000, orders_per_10s=100),
    costs=MappingProxyType(
        {
            Call.PLACE: Cost(weight=1, orders=1),
            Call.CANCEL: Cost(weight=1, is_cancel=True),
            Call.ORDER: Cost(weight=4),
            Call.OPEN_ORDERS: Cost(weight=6),
            Call.TRADES: Cost(weight=20),
            Call.BALANCES: Cost(weight=20),
            Call.QUOTE: Cost(weight=3),
            Call.QUOTES: Cost(weight=4),
            Call.TIME: Cost(weight=1),
            Call.MARKETS: Cost(weight=22),
        }
    ),
    options=MappingProxyType(
        {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            # Stamp requests with the venue's time.
            "adjustForTimeDifference": True,
            # Reply with the order's state; its trades come by stream and look-up.
            "newOrderRespType": {"limit": "RESULT", "market": "RESULT"},
            # All symbols on one socket, up to the venue's number of streams.
            "streamLimits": {"spot": 1},
            "subscriptionLimitByStream": {"spot": 1_024},
            "ordersLimit": CACHED_EVENTS,
            "tradesLimit": CACHED_EVENTS,
        }
    ),
)

VENUES: Mapping[str, Venue] = MappingProxyType({"binance": BINANCE})


def venue_of(account: AccountConfig) -> Venue:
    """The record of the account's venue.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    venue = VENUES.get(account.venue)
    if venue is None:
        raise ConfigurationError(
            field="venue",
            rule=f"must be one of {', '.join(VENUES)}",
            value=account.venue,
            remedy="name a supported venue",
        )
    return venue
