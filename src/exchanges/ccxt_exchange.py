"""The exchange port on unmodified ccxt: questions, orders and streams of one account."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from domain.ids import ClientOrderId
from domain.instrument import Instrument
from domain.plans import CommittedPlan
from exchanges.account import AccountConfig
from exchanges.native import native_quotes
from exchanges.order_entry import OrderEntry
from exchanges.queries import Queries
from exchanges.session import Session
from exchanges.streams import (
    AccountEvent,
    AccountStream,
    QuoteCounters,
    QuoteEvent,
    QuoteStreams,
)
from ext.engine import Lull
from ports.exchange import Capabilities, ClientIdCodec, Outcome, Outcomes, RateSharing, SendGuard


class CcxtExchange(Queries):
    """One account; connects at its first use. Close its streams before it."""

    def __init__(self, config: AccountConfig) -> None:
        session = Session(config)
        super().__init__(session)
        silence_s = config.stream_silence_ms / 1000
        self._quotes = native_quotes(config, session.open, session.asking) or QuoteStreams(
            session.open,
            self.fetch_book,
            silence_s=silence_s,
            subscribe_every_s=session.venue.subscribe_every_s,
        )
        self._account_stream = AccountStream(session.open, session.venue, silence_s=silence_s)
        self._orders = OrderEntry(session, self._account_stream)

    @property
    def account(self) -> str:
        return self._session.account.name

    @property
    def rate(self) -> RateSharing:
        return self._session.admission

    @property
    def capabilities(self) -> Capabilities:
        return self._session.venue.capabilities(self._session.account)

    @property
    def ids(self) -> ClientIdCodec:
        return self._session.venue.ids.codec

    @property
    def refused_quotes(self) -> int:
        """Quotes that were crossed, negative or no numbers, and not passed on."""
        return self._quotes.counters.refused

    @property
    def quote_counters(self) -> QuoteCounters:
        """What the market streams did not pass on."""
        return self._quotes.counters

    async def submit(
        self, plan: CommittedPlan, instrument: Instrument, guard: SendGuard
    ) -> Outcomes:
        return await self._orders.submit(plan, instrument, guard)

    async def cancel(
        self, symbol: str, client_order_ids: Sequence[ClientOrderId], guard: SendGuard
    ) -> tuple[Outcome, ...]:
        return await self._orders.cancel(symbol, client_order_ids, guard)

    def countdown_s(self, wanted_s: int, symbols: int) -> int:
        part = self._session.admission.part * self._session.account.limits_percent / 100
        return self._session.venue.countdown_s(wanted_s, symbols / part) if part else 0

    async def set_dead_man_switch(self, symbol: str, countdown_s: int, guard: SendGuard) -> None:
        await self._orders.set_dead_man_switch(symbol, countdown_s, guard)

    async def prepare_symbol(self, symbol: str) -> int:
        return await self._orders.prepare_symbol(symbol)

    def take_keys(self, api_key: str, api_secret: str, api_passphrase: str) -> bool:
        return self._session.take_keys(api_key, api_secret, api_passphrase)

    async def keys_were_refused(self) -> None:
        await self._session.keys_were_refused()

    def watch_quotes(
        self, symbol: str, lull: Lull | None = None
    ) -> AsyncGenerator[QuoteEvent, None]:
        return self._quotes.watch(symbol, lull)

    def watch_account(self) -> AsyncGenerator[AccountEvent, None]:
        return self._account_stream.watch()

    async def close(self) -> None:
        await self._session.close()
