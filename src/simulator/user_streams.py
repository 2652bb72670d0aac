"""User data streams: who listens to which account, and what armed faults do to its events."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from simulator.faults import Faults
from simulator.sockets import Channel

#: An event held back to be overtaken by one of its kind is sent after this in any case.
HELD_MAX_S = 1.0


class UserStreams(ABC):
    """All sockets that carry the events of one market's accounts."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: list[tuple[str, dict[str, Any]]] = []

    @abstractmethod
    def disconnect_all(self) -> None:
        """Close every socket."""

    @abstractmethod
    def _deliver(self, account: str, event: dict[str, Any]) -> None:
        """Write an event to everybody who listens to the account."""

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
        if not self._faults.is_silent("user"):
            self._deliver(account, event)


class SubscribedStreams(UserStreams):
    """Spot: sockets of the WebSocket API, each with any number of signed subscriptions."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._channels: dict[Channel, dict[int, str]] = {}  # subscription id -> account

    def add(self, channel: Channel) -> None:
        self._channels[channel] = {}

    def remove(self, channel: Channel) -> None:
        del self._channels[channel]

    def subscribe(self, channel: Channel, account: str) -> int:
        subscriptions = self._channels[channel]
        subscription_id = max(subscriptions, default=-1) + 1
        subscriptions[subscription_id] = account
        return subscription_id

    def unsubscribe(self, channel: Channel, subscription_id: int | None) -> None:
        """One subscription, or all of the socket."""
        if subscription_id is None:
            self._channels[channel].clear()
        else:
            self._channels[channel].pop(subscription_id, None)

    def disconnect_all(self) -> None:
        close_all(list(self._channels))

    def _deliver(self, account: str, event: dict[str, Any]) -> None:
        for channel, subscriptions in self._channels.items():
            for subscription_id, subscriber in subscriptions.items():
                if subscriber == account:
                    channel.send_json({"subscriptionId": subscription_id, "event": event})


def close_all(channels: list[Channel]) -> None:
    for channel in channels:
        channel.disconnect()
