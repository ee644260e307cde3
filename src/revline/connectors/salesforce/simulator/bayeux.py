"""The streaming side of the simulated org: Bayeux over long polling with the replay extension. Knows no HTTP.

Source: docs.cometd.org (Bayeux protocol) and the streaming API guide; the words of a refused replay id are from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.simulator.changes import Change, ChangeLog
from revline.connectors.salesforce.simulator.queries import shown_value

ALL_CHANGES: Final = "/data/ChangeEvents"
FROM_OLDEST: Final = -2
FROM_NOW: Final = -1
CLIENTS_MAX: Final = 20
EVENTS_MAX: Final = 200


class Client(msgspec.Struct, kw_only=True):
    """One streaming client. positions: channel -> last replay id it was told."""

    client_id: str
    positions: dict[str, int] = {}


class Bayeux:
    """Clients and what they were told."""

    def __init__(self, *, changes: ChangeLog) -> None:
        self._changes = changes
        self.clients: dict[str, Client] = {}
        self._made = 0

    def forget_clients(self) -> None:
        """Every client is unknown from now on, as after the server was restarted."""
        self.clients.clear()

    def answer(self, *, messages: list[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        """The replies to one request, and whether a connect among them may be held because nothing is there yet."""
        replies: list[dict[str, Any]] = []
        idle = False
        for message in messages:
            channel = message.get("channel", "")
            if channel == "/meta/handshake":
                replies.append(self._handshake(message))
                continue
            client = self.clients.get(str(message.get("clientId")))
            if client is None:
                error = {"error": "403::Unknown client", "advice": {"reconnect": "handshake", "interval": 0}}
                replies.append(_reply(message, successful=False) | error)
            elif channel == "/meta/subscribe":
                replies.append(self._subscribe(client, message))
            elif channel == "/meta/connect":
                events = self._events(client)
                idle = not events and (message.get("advice") or {}).get("timeout") != 0
                replies += [*events, _reply(message, successful=True) | {"clientId": client.client_id}]
            elif channel == "/meta/disconnect":
                self.clients.pop(client.client_id)
                replies.append(_reply(message, successful=True))
            else:
                replies.append(_reply(message, successful=False) | {"error": "404::Unknown channel"})
        return replies, idle

    def _handshake(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self._made += 1
        client = Client(client_id=f"client{self._made:06d}")
        self.clients[client.client_id] = client
        while len(self.clients) > CLIENTS_MAX:
            self.clients.pop(next(iter(self.clients)))
        return _reply(message, successful=True) | {
            "version": "1.0",
            "clientId": client.client_id,
            "supportedConnectionTypes": ["long-polling"],
            "ext": {"replay": True, "payload.format": True},
        }

    def _subscribe(self, client: Client, message: Mapping[str, Any]) -> dict[str, Any]:
        channel = str(message.get("subscription", ""))
        reply = _reply(message, successful=True) | {"clientId": client.client_id, "subscription": channel}
        if channel != ALL_CHANGES and not channel.endswith("ChangeEvent"):
            return reply | {"successful": False, "error": f"400::The channel specified is not valid: {channel}"}
        replay = ((message.get("ext") or {}).get("replay") or {}).get(channel, FROM_NOW)
        if replay == FROM_NOW:
            replay = self._changes.last_replay_id
        elif replay == FROM_OLDEST:
            replay = 0
        elif not self._changes.knows(replay_id=int(replay)):
            words = f"The replayId {{{replay}}} you provided was invalid.  Please provide a valid ID, -2 to replay all events"
            return reply | {"successful": False, "error": f"400::{words}, or -1 to replay only new events."}
        client.positions[channel] = int(replay)
        return reply

    def _events(self, client: Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for channel, position in client.positions.items():
            fitting = [one for one in self._changes.after(replay_id=position) if _on(channel, one)][:EVENTS_MAX]
            found += [_event(channel, change) for change in fitting]
            if fitting:
                client.positions[channel] = fitting[-1].replay_id
        return found


def _on(channel: str, change: Change) -> bool:
    return channel in {ALL_CHANGES, f"/data/{change.name}ChangeEvent"}


def _event(channel: str, change: Change) -> dict[str, Any]:
    payload = {
        name: shown_value(value) if name != "ChangeEventHeader" else value for name, value in change.payload.items()
    }
    return {
        "data": {
            "schema": "kVq9G2PRYfQzrCXl0YyrWg",
            "payload": payload,
            "event": {"replayId": change.replay_id},
        },
        "channel": channel,
    }


def _reply(message: Mapping[str, Any], *, successful: bool) -> dict[str, Any]:
    reply = {"channel": message.get("channel", ""), "successful": successful}
    return reply | ({"id": message["id"]} if "id" in message else {})
