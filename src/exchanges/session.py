"""One account's client of ccxt, opened at its first use, asked within its rate budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from domain.errors import AuthenticationRefused, VenueError
from domain.instrument import MarketKind
from exchanges.account import AccountConfig
from exchanges.capabilities import Call
from exchanges.connection import DEFAULT_RETRY_AFTER_S, Connection
from exchanges.rate_budget import Admission, RateBudget, Tier
from exchanges.translate import CcxtError, is_rate_limited, is_wrong_time, translate, understanding
from exchanges.venues import venue_of

#: How long a query waits for the rate budget before it fails.
QUERY_WAIT_MAX_S = 10.0


class Session:
    """Whoever talks to the venue for the account shares it."""

    def __init__(self, account: AccountConfig) -> None:
        self.account = account
        self.venue = venue_of(account)
        self.admission = Admission(
            RateBudget(self.venue.limits.percent(account.limits_percent)), _boot_s
        )
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._must_ask_time = False
        self._refused_keys = asyncio.Event()

    def take_keys(self, api_key: str, api_secret: str, api_passphrase: str) -> bool:
        """Sign with these from now on; the account's stream signs in anew."""
        account = replace(
            self.account, api_key=api_key, api_secret=api_secret, api_passphrase=api_passphrase
        )
        is_other = account != self.account
        if is_other:
            self.account = account
            if self._connection is not None:
                self._connection.take_keys(account)
        return is_other

    async def keys_were_refused(self) -> None:
        await self._refused_keys.wait()
        self._refused_keys.clear()

    @property
    def trades_contracts(self) -> bool:
        return self.account.market is MarketKind.LINEAR

    @asynccontextmanager
    async def asking(self, call: Call, tier: Tier = Tier.QUERY) -> AsyncIterator[Any]:
        """Ask the venue something within the rate budget, with our errors only."""
        cost = self.venue.costs[call].of_tier(tier)
        await self.admission.admit(cost, wait_max_s=QUERY_WAIT_MAX_S)
        try:
            client = (await self.open()).client
            with understanding(call):
                yield client
        except (CcxtError, OSError) as error:
            raise self.translated(error, may_have_acted=False) from error

    async def open(self) -> Connection:
        async with self._opening:
            if self._connection is None:
                self._connection = await Connection.open(
                    self.account, self.venue, self.admission.pause
                )
            elif self._must_ask_time:
                await self._connection.client.load_time_difference()
            self._must_ask_time = False
            return self._connection

    def translated(self, error: Exception, *, may_have_acted: bool) -> VenueError:
        """What an error of ccxt means, noting what it says of clocks and limits."""
        if is_wrong_time(error):
            self._must_ask_time = True
        if is_rate_limited(error):
            # Not every venue says so by its status.
            self.admission.pause(DEFAULT_RETRY_AFTER_S)
        told = translate(error, may_have_acted=may_have_acted, refusals=self.venue.refusals)
        if isinstance(told, AuthenticationRefused):
            self._refused_keys.set()
        return told

    async def close(self) -> None:
        async with self._opening:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
