"""Who signed a request, and is it fresh: API key, HMAC-SHA256, timestamp and recvWindow."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from simulator.config import AccountConfig, Limits
from simulator.errors import VenueError, missing_parameter, unknown_key

DEFAULT_RECV_WINDOW_MS = 5_000


class Authenticator:
    """Checks signatures of the configured accounts."""

    def __init__(self, accounts: tuple[AccountConfig, ...], limits: Limits) -> None:
        self._accounts = {account.api_key: account for account in accounts}
        self._limits = limits

    def account(self, api_key: str | None) -> AccountConfig:
        if not api_key:
            raise VenueError(-2014, "API-key format invalid.", status=401)
        account = self._accounts.get(api_key)
        if account is None:
            raise unknown_key()
        return account

    def find(self, api_key: str | None) -> AccountConfig | None:
        return self._accounts.get(api_key or "")

    def rotate(self, name: str, api_key: str, api_secret: str) -> None:
        """Give an account another key; the one before is unknown from now on."""
        (account,) = (known for known in self._accounts.values() if known.name == name)
        del self._accounts[account.api_key]
        self._accounts[api_key] = replace(account, api_key=api_key, api_secret=api_secret)

    def verify(
        self, account: AccountConfig, signed: str, params: Mapping[str, str], now_ms: int
    ) -> None:
        """Raise unless `signed` carries this account's signature and is fresh."""
        for name in ("timestamp", "signature"):
            if not params.get(name):
                raise missing_parameter(name)
        timestamp_ms = _milliseconds(params["timestamp"], "timestamp")
        window_ms = DEFAULT_RECV_WINDOW_MS
        if "recvWindow" in params:
            window_ms = _milliseconds(params["recvWindow"], "recvWindow")
        if window_ms > self._limits.recv_window_max_ms:
            limit = self._limits.recv_window_max_ms
            raise VenueError(-1131, f"recvWindow must be less than {limit}")
        if timestamp_ms >= now_ms + self._limits.ahead_max_ms:
            raise VenueError(
                -1021,
                f"Timestamp for this request was {self._limits.ahead_max_ms}ms ahead of the "
                "server's time.",
            )
        if now_ms - timestamp_ms > window_ms:
            raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")
        secret = account.api_secret.encode()
        expected = hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, params["signature"].lower()):
            raise VenueError(-1022, "Signature for this request is not valid.")


def _milliseconds(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise missing_parameter(name)
    return int(text)
