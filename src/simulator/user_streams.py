"""The WebSocket API's user data stream: signed subscriptions, order and balance events."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from simulator.auth import Authenticator
from simulator.errors import VenueError
from simulator.faults import Faults
from simulator.sockets import Channel, accepted

#: An event held back to be overtaken by one of its kind is sent after this in any case.
HELD_MAX_S = 1.0


class UserStreams:
    """All sockets of the WebSocket API endpoint."""

    def __init__(
        self, authenticator: Authenticator, faults: Faults, now_ms: Callable[[], int]
    ) -> None:
        self._authenticator = authenticator
        self._faults = faults
        self._now_ms = now_ms
        self._channels: dict[Channel, dict[int, str]] = {}  # subscription id -> account
        self._held: list[tuple[str, dict[str, Any]]] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        async with accepted(request) as (socket, channel):
            self._channels[channel] = {}
            try:
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        channel.send_json(self._answer(channel, message.data))
            finally:
                del self._channels[channel]
        return socket

    def disconnect_all(self) -> None:
        for channel in self._channels:
            channel.disconnect()

    def publish(self, account: str, event: dict[str, Any]) -> None:
        """Send an event to the account's subscribers, as the armed faults let it."""
        fault = self._faults.for_event(event["e"])
        match fault.kind if fault else None:
            case "drop_user_events":
                return
            case "duplicate_user_events":
                self._send(account, event)
            case "reorder_user_events":
                self._held.append((account, event))
                asyncio.get_running_loop().call_later(HELD_MAX_S, self._release)
                return
        self._send(account, event)
        if any(held["e"] == event["e"] for _, held in self._held):
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for account, event in held:
            self._send(account, event)

    def _send(self, account: str, event: dict[str, Any]) -> None:
        if self._faults.is_silent("user"):
            return
        for channel, subscriptions in self._channels.items():
            for subscription_id, subscriber in subscriptions.items():
                if subscriber == account:
                    channel.send_json({"subscriptionId": subscription_id, "event": event})

    def _answer(self, channel: Channel, text: str) -> dict[str, Any]:
        request_id: object = None
        try:
            request = orjson.loads(text)
            request_id = request["id"]
            result = self._call(channel, request["method"], request.get("params", {}))
        except VenueError as error:
            return _refusal(request_id, error)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return _refusal(request_id, VenueError(-1102, "Malformed request."))
        return {"id": request_id, "status": 200, "result": result}

    def _call(self, channel: Channel, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        subscriptions = self._channels[channel]
        match method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": self._now_ms()}
            case "userDataStream.subscribe.signature":
                subscription_id = max(subscriptions, default=-1) + 1
                subscriptions[subscription_id] = self._verified_account(params)
                return {"subscriptionId": subscription_id}
            case "userDataStream.unsubscribe":
                if "subscriptionId" in params:
                    subscriptions.pop(params["subscriptionId"], None)
                else:
                    subscriptions.clear()
                return {}
            case _:
                raise VenueError(-1101, f"Unknown method '{method}'.")

    def _verified_account(self, params: Mapping[str, Any]) -> str:
        texts = {name: str(value) for name, value in params.items()}
        unknown = texts.keys() - {"apiKey", "recvWindow", "timestamp", "signature"}
        if unknown:
            raise VenueError(-1104, "Not all sent parameters were read.")
        account = self._authenticator.account(texts.get("apiKey"))
        signed = "&".join(f"{name}={texts[name]}" for name in sorted(texts) if name != "signature")
        self._authenticator.verify(account, signed, texts, self._now_ms())
        return account.name


def _refusal(request_id: object, error: VenueError) -> dict[str, Any]:
    return {
        "id": request_id,
        "status": error.status,
        "error": error.document(),
    }
