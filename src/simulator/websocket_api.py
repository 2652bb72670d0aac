"""The WebSocket APIs: the calls of REST by other names, and the spot user data stream."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from simulator import futures_endpoints, spot_endpoints
from simulator.call import Reply
from simulator.dispatch import Request, answer, market_of
from simulator.errors import VenueError, unread_parameters
from simulator.exchange import Exchange
from simulator.faults import Fault
from simulator.sockets import Channel, accepted

_SUBSCRIBE = "userDataStream.subscribe.signature"
_UNSUBSCRIBE = "userDataStream.unsubscribe"
_SUBSCRIBE_NAMES = {"apiKey", "recvWindow", "timestamp", "signature"}


class WebSocketApi:
    """`/ws-api/v3` of spot and `/ws-fapi/v1` of futures; a socket's calls are answered in order."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def serve_spot(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, spot_endpoints.METHODS)

    async def serve_futures(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, futures_endpoints.METHODS)

    async def _serve(
        self, request: web.Request, methods: Mapping[str, tuple[str, str]]
    ) -> web.StreamResponse:
        subscriptions = self._exchange.subscriptions
        async with accepted(request) as (socket, channel):
            subscriptions.add(channel)
            try:
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        await self._take(channel, methods, message.data)
            finally:
                subscriptions.remove(channel)
        return socket

    async def _take(
        self, channel: Channel, methods: Mapping[str, tuple[str, str]], text: str
    ) -> None:
        try:
            message = orjson.loads(text)
            request_id, method = message["id"], message["method"]
            params = dict(message.get("params", {}))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            channel.send_json(_refusal(None, VenueError(-1102, "Malformed request.")))
            return
        if methods is spot_endpoints.METHODS and method in {_SUBSCRIBE, _UNSUBSCRIBE}:
            channel.send_json(self._stream_call(channel, request_id, method, params))
        elif method in methods:
            await self._bridge(channel, request_id, methods[method], params)
        else:
            refusal = VenueError(-1101, f"Unknown method '{method}'.")
            channel.send_json(_refusal(request_id, refusal))

    async def _bridge(
        self,
        channel: Channel,
        request_id: object,
        call: tuple[str, str],
        params: dict[str, Any],
    ) -> None:
        """Answer a call as REST would, with the faults that are armed for REST's path."""
        fault = self._exchange.faults.for_request(*call, params.get("symbol"))
        kind = fault.kind if fault else ""
        if fault is None:
            channel.send_json(self._answer(request_id, call, params))
            return
        if kind == "request_delayed":
            await asyncio.sleep(fault.delay_s)
        if kind in {"error", "rate_limit"}:
            channel.send_json(_faulty(request_id, fault))
            return
        if kind == "timeout_lost":
            return
        if kind == "disconnect" and fault.when == "before":
            channel.disconnect()
            return
        reply = self._answer(request_id, call, params)
        if kind == "reply_delayed":
            await asyncio.sleep(fault.delay_s)
        if kind == "disconnect":
            channel.disconnect()
        elif kind == "error_after":
            channel.send_json(_faulty(request_id, fault))
        elif kind != "timeout_accepted":
            channel.send_json(reply)

    def _answer(
        self, request_id: object, call: tuple[str, str], params: dict[str, Any]
    ) -> dict[str, Any]:
        method, path = call
        texts = _texts(params)
        wants_limits = texts.pop("returnRateLimits", "true") == "true"
        signed = _signed_text(params)
        api_key = texts.pop("apiKey", None)
        reply: dict[str, Any]
        try:
            request = Request(method, path, texts, api_key, signed)
            result = answer(self._exchange, request)
        except VenueError as error:
            reply = _refusal(request_id, error)
        else:
            reply = {"id": request_id, "status": 200, "result": result}
            if isinstance(result, Reply):
                reply = {"id": request_id, "status": result.status, "error": result.body}
        if wants_limits:
            reply["rateLimits"] = market_of(self._exchange, path).rate_limiter.describe()
        return reply

    def _stream_call(
        self, channel: Channel, request_id: object, method: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        subscriptions = self._exchange.subscriptions
        result: dict[str, Any] = {}
        if method == _UNSUBSCRIBE:
            subscriptions.unsubscribe(channel, params.get("subscriptionId"))
        else:
            try:
                account = self._verified_account(params)
            except VenueError as error:
                return _refusal(request_id, error)
            result = {"subscriptionId": subscriptions.subscribe(channel, account)}
        limits = self._exchange.spot.rate_limiter.describe()
        return {"id": request_id, "status": 200, "result": result, "rateLimits": limits}

    def _verified_account(self, params: dict[str, Any]) -> str:
        texts = _texts(params)
        unknown = texts.keys() - _SUBSCRIBE_NAMES
        if unknown:
            raise unread_parameters(len(texts) - len(unknown), len(texts))
        authenticator = self._exchange.authenticator
        account = authenticator.account(texts.get("apiKey"))
        authenticator.verify(account, _signed_text(params), texts, self._exchange.now_ms())
        return account.name


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    """As REST would have sent the values."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
    }


def _signed_text(params: Mapping[str, Any]) -> str:
    """What a signature is over: everything else, in order of name."""
    texts = _texts(params)
    return "&".join(f"{name}={texts[name]}" for name in sorted(texts) if name != "signature")


def _faulty(request_id: object, fault: Fault) -> dict[str, Any]:
    usual = {"code": -1003, "msg": "Too many requests."}
    if fault.kind != "rate_limit":
        usual = {"code": -1000, "msg": "Injected error."}
    status = fault.status or (429 if fault.kind == "rate_limit" else 503)
    return {"id": request_id, "status": status, "error": fault.body or usual}


def _refusal(request_id: object, error: VenueError) -> dict[str, Any]:
    return {"id": request_id, "status": error.status, "error": error.document()}
