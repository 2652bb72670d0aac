"""The futures user data stream: keys that must be kept alive, and the sockets that they open."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulator.errors import VenueError
from simulator.faults import Faults
from simulator.sockets import Channel, accepted
from simulator.user_streams import UserStreams, close_all


@dataclass(slots=True)
class ListenKey:
    """One account's key; there is never more than one."""

    text: str
    account: str
    expires_ms: int
    channels: set[Channel] = field(default_factory=set)


class ListenKeyStreams(UserStreams):
    """Keys live as long as the process; a client asks for a new one after a restart."""

    def __init__(self, faults: Faults, validity_ms: int) -> None:
        super().__init__(faults)
        self._validity_ms = validity_ms
        self._keys: dict[str, ListenKey] = {}  # by account

    def create(self, account: str, now_ms: int) -> str:
        """The account's key, made anew if there is none, and valid from now on either way."""
        if account not in self._keys:
            self._keys[account] = ListenKey(secrets.token_hex(32), account, now_ms)
        self.keep_alive(account, now_ms)
        return self._keys[account].text

    def keep_alive(self, account: str, now_ms: int) -> str:
        key = self._keys.get(account)
        if key is None:
            raise VenueError(-1125, "This listenKey does not exist.")
        key.expires_ms = now_ms + self._validity_ms
        return key.text

    def close(self, account: str) -> None:
        key = self._keys.pop(account, None)
        if key is not None:
            close_all(list(key.channels))

    def expire(self, now_ms: int, *, at_once: bool = False) -> None:
        """End the keys whose time is over, or all of them; their readers are told."""
        for key in list(self._keys.values()):
            if at_once or key.expires_ms <= now_ms:
                del self._keys[key.account]
                event = {"e": "listenKeyExpired", "E": now_ms, "listenKey": key.text}
                for channel in key.channels:
                    channel.send_json(event)
                    channel.finish()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`/private/ws?listenKey=…`; a key that is not known gets no socket."""
        wanted = request.query.get("listenKey", "")
        key = next((key for key in self._keys.values() if key.text == wanted), None)
        if key is None:
            raise web.HTTPBadRequest(text="Invalid listen key.")
        async with accepted(request) as (socket, channel):
            key.channels.add(channel)
            try:
                async for _ in socket:
                    pass  # nothing is asked for over this socket
            finally:
                key.channels.discard(channel)
        return socket

    def disconnect_all(self) -> None:
        for key in self._keys.values():
            close_all(list(key.channels))

    def _deliver(self, account: str, event: dict[str, Any]) -> None:
        key = self._keys.get(account)
        for channel in key.channels if key else ():
            channel.send_json(event)
