"""What has to be known about a venue: its limits, guarantees and the ways ccxt is to be told of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from domain.instrument import MarketKind
from exchanges.account import AccountConfig
from exchanges.rate_budget import Cost, RateLimits
from ports.exchange import Capabilities, ClientIdCodec

#: Events of one burst that ccxt keeps until they are read; what is beyond is lost silently.
CACHED_EVENTS = 10_000
#: How often a dead-man switch is fed within its countdown.
FEEDS = 2
#: Percent of the rate limits that feeding dead-man switches may use.
FEEDING_PERCENT = 10
#: ccxt's own name for a client id, where it spells the venue's name itself.
UNIFIED = "clientOrderId"


class Call(StrEnum):
    """The requests of the port."""

    PLACE = "place"
    PLACE_BATCH = "place_batch"
    CANCEL = "cancel"
    ORDER = "order"
    OPEN_ORDERS = "open_orders"
    #: With those that ended.
    ORDERS = "orders"
    TRADES = "trades"
    BALANCES = "balances"
    QUOTE = "quote"
    #: Best bid and ask of many symbols.
    QUOTES = "quotes"
    CANDLES = "candles"
    TIME = "time"
    MARKETS = "markets"
    #: Of contracts: leverage and margin mode, a position, what moved the wallet.
    PREPARE = "prepare"
    DEAD_MAN_SWITCH = "dead-man switch"
    POSITION = "position"
    INCOME = "income"


class Proof(StrEnum):
    """What a venue's record rests on."""

    END_TO_END = "end to end"
    RECORDED_SHAPES = "recorded shapes"
    NONE = "none"


class Sandbox(StrEnum):
    """Where orders can be tried without money."""

    TESTNET = "testnet"
    DEMO = "demo"
    NONE = "none"


class Address(StrEnum):
    """How a request names an order that was placed before."""

    #: As a parameter; ccxt's own argument for an id stays empty.
    PARAMETER = "parameter"
    #: In place of the venue's id.
    IN_PLACE_OF_ID = "in place of the venue's id"
    #: The venue takes only its own id, which is looked up first.
    VENUE_ID = "venue's id, looked up first"


class LookUp(StrEnum):
    """How an order is found by its client id."""

    ORDER = "one request"
    #: Among open orders, then in the history.
    LISTS = "open orders, then history"


class Reply(StrEnum):
    """What the answer to a place or cancel says."""

    ORDER = "the order"
    #: Only that the request was taken: what became of it is looked up.
    RECEIPT = "a receipt"


class CancelAll(StrEnum):
    SYMBOL = "a symbol"
    ACCOUNT = "the account"
    NONE = "none"


class BookCall(StrEnum):
    """Which call shows the best bid and ask."""

    BOOK_TICKER = "book ticker"
    TICKER = "ticker"


class UserStream(StrEnum):
    """What the whole account's stream carries."""

    ORDERS = "orders"
    TRADES = "trades"
    #: Movements of the balances; of use where they move without a trade.
    WALLETS = "wallets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIds:
    """The client order id on its way to the venue and back."""

    codec: ClientIdCodec
    #: What the venue takes, as a regular expression of the whole id.
    pattern: str
    create: str = UNIFIED
    cancel_by: Address = Address.PARAMETER
    cancel: str = UNIFIED
    look_up: LookUp = LookUp.ORDER
    look_up_by: Address = Address.PARAMETER
    #: `None` where the venue's lists cannot be narrowed to one client id: ours is picked from them.
    fetch: str | None = UNIFIED
    #: ccxt's method for the history, where orders are looked up in lists.
    history: str = "fetch_closed_orders"
    #: Where the reply carries it if ccxt's parser drops it.
    in_reply: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """The venue refuses a signed request that comes later than the account's window."""

    #: What carries the window on the wire.
    name: str
    #: Parameter of a place that is a time of day rather than a window: ours to fill in.
    deadline: str | None = None
    #: The venue takes no shorter one.
    least_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceBatch:
    """How several orders are placed in one request, each of which succeeds by itself."""

    most: int
    #: Which of ccxt's addresses it goes to: what the venue's codes mean depends on it.
    api: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSwitch:
    """The venue cancels what rests when it hears nothing for as long as was asked for."""

    name: str
    least_s: int
    most_s: int
    #: It counts for each symbol by itself, and nodes feed it. One that counts for the whole account
    #: would be kept from acting by any node that lives.
    is_fed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrades:
    """How own trades are asked for."""

    page: int
    #: Ids are numbers that rise, and this parameter asks for those from one on.
    from_id: str | None = None
    #: Narrows them to one order; `None` where we pick them ourselves.
    order: str | None = None
    #: The longest time that one request may span, how far back it is worth to ask, and what the
    #: venue cuts times to.
    window_days: int = 7
    history_days: int = 90
    step_ms: int = 1
    #: Pages hold the trades of all symbols.
    of_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOrders:
    """How the whole history of orders is asked for."""

    page: int
    #: Ids are numbers that rise, and this parameter asks for those from one on.
    from_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One venue's record."""

    #: ccxt's name of it.
    ccxt_id: str
    proof: Proof
    market: MarketKind = MarketKind.SPOT
    #: All its hosts end so; a simulator answers for these and for no other.
    domains: tuple[str, ...]
    sandbox: Sandbox
    #: Keys come with a passphrase.
    has_passphrase: bool = False
    ids: ClientIds
    #: The parameter that makes a limit order post-only, and what it becomes on the wire.
    post_only: str = "postOnly"
    post_only_wire: str
    place_reply: Reply = Reply.RECEIPT
    cancel_reply: Reply = Reply.RECEIPT
    #: Orders in one request; 0 where there is no such request.
    create_batch: int
    cancel_batch: int
    #: `None` where each order is a request of its own.
    place_batch: PlaceBatch | None = None
    cancel_all: CancelAll
    dead_man_switch: DeadManSwitch | None
    expiry: Expiry | None
    trades: OwnTrades
    #: `None` where no way is known to be told of every order.
    orders: OwnOrders | None = None
    #: Whether the account's own fees can be asked for; else the market's are taken.
    has_account_fees: bool = True
    book: BookCall = BookCall.TICKER
    user_streams: tuple[UserStream, ...] = ()
    #: Whether ccxt signs in to the account's stream by a call of its own.
    signs_in: bool = False
    #: Part of the account stream's address that the market streams' do not have.
    account_socket: str = "private"
    #: Pause between symbols that subscribe on one socket.
    subscribe_every_s: float = 0.5
    limits: RateLimits
    costs: Mapping[Call, Cost]
    #: ccxt's own options.
    options: Mapping[str, object]
    #: The venue's words where ccxt's class says too little, and our reason for each.
    refusals: tuple[tuple[str, str], ...] = ()
    #: What people must know before they trade here.
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the record: a venue has one for each kind of market."""
        return record_name(self.ccxt_id, self.market)

    def capabilities(self, account: AccountConfig) -> Capabilities:
        return Capabilities(
            request_expiry_ms=self.request_expiry_ms(account.recv_window_ms),
            clock_skew_ms=account.clock_skew_ms,
        )

    def reply_to(self, call: Call) -> Reply:
        return self.cancel_reply if call is Call.CANCEL else self.place_reply

    def countdown_s(self, wanted_s: int, symbols: float) -> int:
        """After what silence a symbol's orders are cancelled; 0 where they never are.

        Many symbols must be fed more seldom, so that feeding leaves the rate limits to orders.

        Parameters
        ----------
        symbols : float
            Of the account; a node that has a part of the limits counts its own by that part.
        """
        switch = self.dead_man_switch
        if switch is None or not switch.is_fed or not wanted_s:
            return 0
        weight_per_s = self.limits.weight_per_minute * FEEDING_PERCENT / 100 / 60
        feeding_s = symbols * self.costs[Call.DEAD_MAN_SWITCH].weight / weight_per_s
        return min(max(wanted_s, math.ceil(FEEDS * feeding_s)), switch.most_s)

    def request_expiry_ms(self, recv_window_ms: int) -> int | None:
        """When a signed request is dead at the venue; `None` where nothing expires."""
        return None if self.expiry is None else max(recv_window_ms, self.expiry.least_ms)


def record_name(ccxt_id: str, market: MarketKind) -> str:
    return ccxt_id if market is MarketKind.SPOT else f"{ccxt_id}-{market}"


def plain_costs() -> Mapping[Call, Cost]:
    """Every request counts one, as where a venue counts requests rather than weights."""
    costs = {call: Cost(weight=1) for call in Call}
    costs[Call.PLACE] = Cost(weight=1, orders=1)
    costs[Call.CANCEL] = Cost(weight=1)
    return MappingProxyType(costs)
