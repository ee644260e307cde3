"""Change events by CometD long polling: handshake, subscribe with the replay extension, connect. Says where it stands by replay id.

Source: docs.cometd.org (Bayeux protocol) and the streaming API guide (durable streaming with replay ids). Knows no event's meaning.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from revline.connectors.salesforce.client import RETRY_AFTER, Failure, SalesforceClient, problem_of
from revline.connectors.sdk.http import HttpCaller, retry_after
from revline.connectors.sdk.source import asks_for_less
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.exact_json import parse
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem

FROM_OLDEST: Final = -2
TRIES_MAX: Final = 3
ANSWER_BYTES_MAX: Final = 16_000_000


class _LostError(Exception):
    """The server no longer knows this client: shake hands again."""


class ChangeStream:
    """One client of the streaming side. Its place is the replay id of the last event it gave away; what came beyond waits here."""

    def __init__(
        self, *, client: SalesforceClient, caller: HttpCaller, base_url: str, channel: str, api_version: str, hold: bool
    ) -> None:
        self._client = client
        self._caller = caller
        self._base_url = base_url
        self._channel = channel
        self._path = f"/cometd/{api_version}"
        self._hold = hold
        self._client_id = ""
        self._token = ""
        self._place: str | None = None
        self._waiting: list[tuple[str, bytes]] = []
        self._number = 0

    async def page(self, *, cursor: str, limit: int) -> tuple[list[bytes], str, bool] | Problem:
        """(messages, next cursor, whether more are here). source.cursor_expired when the replay id is no longer kept."""
        for _ in range(TRIES_MAX):
            try:
                found = await self._page(cursor, limit)
            except _LostError:
                self._forget()
                continue
            if isinstance(found, Problem):
                self._forget()
                if found.code == "source.credentials_refused" and self._token:
                    await self._client.renew(token=self._token)
                    self._token = ""
                    continue
            return found
        return problem("source.unreachable", "the streaming server knew none of our clients")

    async def _page(self, cursor: str, limit: int) -> tuple[list[bytes], str, bool] | Problem:
        if not self._client_id or self._place != cursor:
            begun = await self._begin(cursor)
            if isinstance(begun, Problem):
                return begun
        if not self._waiting:
            came = await self._connect()
            if isinstance(came, Problem):
                return came
            self._waiting = came
        given, self._waiting = self._waiting[:limit], self._waiting[limit:]
        self._place = given[-1][0] if given else cursor
        return [body for _, body in given], self._place, bool(self._waiting or given)

    async def _begin(self, cursor: str) -> Problem | None:
        """A new client from a place on."""
        self._forget()
        try:
            replay = int(cursor) if cursor else FROM_OLDEST
        except ValueError:
            return problem("source.cursor_expired", "the cursor is no replay id")
        shake = {
            "channel": "/meta/handshake",
            "version": "1.0",
            "minimumVersion": "1.0",
            "supportedConnectionTypes": ["long-polling"],
            "ext": {"replay": True},
        }
        reply = await self._reply(shake)
        if isinstance(reply, Problem):
            return reply
        self._client_id = str(reply.get("clientId", ""))
        subscribe = {
            "channel": "/meta/subscribe",
            "subscription": self._channel,
            "ext": {"replay": {self._channel: replay}},
        }
        reply = await self._reply(subscribe)
        if isinstance(reply, Problem):
            if cursor and "replay" in reply.detail.lower():
                return problem("source.cursor_expired", reply.detail)
            return reply
        self._place = cursor
        return None

    async def _reply(self, message: dict[str, Any]) -> dict[str, Any] | Problem:
        """The meta reply to one message. A refusal is a problem with the server's words."""
        replies = await self._send(message)
        if isinstance(replies, Problem):
            return replies
        own = [reply for reply in replies if reply.get("channel") == message["channel"]]
        if not own:
            return problem("source.unreachable", "the streaming server answered something else")
        if own[0].get("successful") is not True:
            words = str(own[0].get("error", ""))[:300]
            if words.startswith("401"):
                return problem("source.credentials_refused", words)
            if words.startswith(("402", "403::Unknown client")):
                raise _LostError
            return problem("source.refused", words, field=self._channel)
        return own[0]

    async def _connect(self) -> list[tuple[str, bytes]] | Problem:
        message: dict[str, Any] = {"channel": "/meta/connect", "connectionType": "long-polling"}
        if not self._hold:
            message["advice"] = {"timeout": 0}
        replies = await self._send(message)
        if isinstance(replies, Problem):
            return replies
        events: list[tuple[str, bytes]] = []
        for reply in replies:
            if reply.get("channel") == "/meta/connect" and reply.get("successful") is not True:
                raise _LostError
            data = reply.get("data")
            replay = data.get("event", {}).get("replayId") if isinstance(data, dict) else None
            if isinstance(replay, int):
                events.append((str(replay), _ENCODER.encode(reply)))
        return events

    async def _send(self, message: dict[str, Any]) -> list[dict[str, Any]] | Problem:
        opened = await self._client.credentials()
        if isinstance(opened, Failure):
            return problem_of(opened)
        host, self._token = opened
        self._number += 1
        identified = {"id": str(self._number), **message}
        if self._client_id and message["channel"] != "/meta/handshake":
            identified["clientId"] = self._client_id
        answer = await self._caller.send(
            method="POST",
            path=(self._base_url or f"https://{host}") + self._path,
            content=msgspec.json.encode([identified]),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        if isinstance(answer, NotSent | Uncertain):
            words = answer.problem.detail if isinstance(answer, NotSent) else answer.evidence[:300]
            return problem("source.unreachable", words)
        return self._read(answer)

    def _read(self, answer: HttpAnswer) -> list[dict[str, Any]] | Problem:
        if answer.status == 401:
            return problem("source.credentials_refused", "the streaming server refused the token")
        if answer.status == 503 and "retry-after" not in answer.headers:
            return problem("source.busy", "the streaming server answered 503")
        if answer.status in {429, 503}:
            wait = retry_after(headers=answer.headers, now=self._client.now(), default=RETRY_AFTER)
            return asks_for_less(detail=f"the streaming server answered {answer.status}", wait=wait)
        value = parse(answer.body, bytes_max=ANSWER_BYTES_MAX)
        if answer.status != 200 or not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            return problem("source.unreachable", self._caller.mask(answer.evidence)[:300])
        return value

    def _forget(self) -> None:
        self._client_id, self._place, self._waiting = "", None, []


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
