"""Reads Salesforce for intake: listings by modification time, single records whole, change events. Knows no fact.

Everything is asked with the recycle bin, so that a deletion is seen as the record's last state. A snapshot is given only once the
second of its modification time is over: Salesforce counts in whole seconds, and within one a later state could not be told from it.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2
import msgspec

from revline.connectors.salesforce import soql
from revline.connectors.salesforce.client import Answered, Failure, SalesforceClient, missing, problem_of
from revline.connectors.salesforce.describing import Columns, Descriptions
from revline.connectors.salesforce.identifiers import is_record_id, long_form
from revline.connectors.salesforce.login import login_of
from revline.connectors.salesforce.manifest import API_VERSION
from revline.connectors.salesforce.objects import Shape, parents_of, shapes_of
from revline.connectors.salesforce.options import Options, options_of
from revline.connectors.salesforce.streaming import ChangeStream
from revline.connectors.salesforce.wire import loopback_of
from revline.connectors.sdk.http import HttpCaller
from revline.connectors.sdk.source import LinkRule, ReaderManifest, SourcePage
from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.tenancy.kinds import Connection

PAGE_MAX: Final = 200
SECOND: Final = timedelta(seconds=1)
CHANGES_TIMEOUT: Final = timedelta(seconds=130)
"""A streaming connect is held up to 110 seconds there."""


class SalesforceReader:
    """A `SourceReader`. settle: how long after its modification time a record is taken as it is; zero takes it at once."""

    def __init__(
        self,
        *,
        client: SalesforceClient,
        stream: ChangeStream,
        clock: Clock,
        options: Options,
        sandbox: bool,
        settle: timedelta = SECOND,
        slots: int = 2,
    ) -> None:
        self._client = client
        self._stream = stream
        self._clock = clock
        self._shapes = shapes_of(options=options)
        self._parents = parents_of(shapes=self._shapes)
        self._descriptions = Descriptions(client=client, clock=clock)
        self._sandbox = sandbox
        self._right_side = False
        self._settle = settle
        self._slots = slots

    @property
    def manifest(self) -> ReaderManifest:
        """Lines come first: their first listing only marks the present, and the records that are listed after it hold them."""
        return ReaderManifest(
            listed=(*self._parents, *self._shapes),
            changes=True,
            page_max=PAGE_MAX,
            slots=self._slots,
            since=True,
        )

    async def list_page(self, *, object_kind: str, cursor: str, limit: int) -> SourcePage | Problem:
        """Records of an object, oldest change first; of a kind of line, the records whose lines changed."""
        wrong = await self._wrong_side()
        if wrong is not None:
            return wrong
        limit = min(max(limit, 1), PAGE_MAX)
        try:
            soql.after(cursor=cursor)
        except ValueError:
            return problem("source.cursor_expired", f"{cursor[:60]!r} is no place in a listing")
        if object_kind in self._parents:
            return await self._lines_page(self._parents[object_kind], cursor, limit)
        shape = self._shapes.get(object_kind)
        if shape is None:
            return problem("source.refused", f"{object_kind[:60]!r} is not read here", field=object_kind[:60])
        columns = await self._descriptions.columns(shape=shape)
        if isinstance(columns, Problem):
            return columns
        if columns is None:
            return SourcePage(bodies=(), next_cursor=cursor, more=False, total=0)
        total: int | None = None
        if cursor == soql.START:
            counted = await self._client.run(
                lambda salesforce: salesforce.query(soql.count(shape=shape), include_deleted=True)["totalSize"]
            )
            if isinstance(counted, Failure):
                return problem_of(counted)
            total = int(counted.value)
        text = soql.listing(shape=shape, fields=columns.fields, lines=columns.lines, cursor=cursor, limit=limit)
        found = await self._ask(text)
        if isinstance(found, Problem):
            return found
        records, ripe_until = found
        ripe = _ripe(records, ripe_until)
        return SourcePage(
            bodies=tuple(_body(record) for record in ripe),
            next_cursor=_cursor_after(ripe, cursor),
            more=len(ripe) == limit,
            total=total,
        )

    async def changes_page(self, *, cursor: str, limit: int) -> SourcePage | Problem:
        """Change events after a replay id. source.cursor_expired when Salesforce keeps them no more (72 hours)."""
        wrong = await self._wrong_side()
        if wrong is not None:
            return wrong
        found = await self._stream.page(cursor=cursor, limit=max(limit, 1))
        if isinstance(found, Problem):
            return found
        bodies, next_cursor, more = found
        return SourcePage(bodies=tuple(bodies), next_cursor=next_cursor, more=more)

    async def read(self, *, object_kind: str, outside_id: str) -> bytes | Problem | None:
        """One record with all its lines; of a line, the record it belongs to. None when it is not even in the recycle bin.

        source.busy within the second of its last change: ask again.
        """
        wrong = await self._wrong_side()
        if wrong is not None:
            return wrong
        if not is_record_id(text=outside_id):
            return None
        shape, record_id = self._shapes.get(object_kind), long_form(record_id=outside_id)
        if object_kind in self._parents:
            shape = self._parents[object_kind]
            owner = await self._owner(shape, record_id)
            if owner is None or isinstance(owner, Problem):
                return owner
            record_id = owner
        if shape is None:
            return problem("source.refused", f"{object_kind[:60]!r} is not read here", field=object_kind[:60])
        found = await self._whole(shape, [record_id])
        if isinstance(found, Problem):
            return found
        records, ripe_until = found
        if not records:
            return None
        if _ripe(records, ripe_until) != records:
            return problem("source.busy", "the record was changed within this second; it is read once that is over")
        return _body(records[0])

    async def close(self) -> None:
        await self._client.close()

    async def _lines_page(self, shape: Shape, cursor: str, limit: int) -> SourcePage | Problem:
        lines = shape.lines
        assert lines is not None
        columns = await self._descriptions.columns(shape=shape)
        if isinstance(columns, Problem):
            return columns
        if columns is None or not columns.lines:
            return SourcePage(bodies=(), next_cursor=cursor, more=False)
        if cursor == soql.START:
            return await self._present(shape)
        found = await self._ask(soql.changed_lines(lines=lines, cursor=cursor, limit=limit))
        if isinstance(found, Problem):
            return found
        changed, ripe_until = found
        ripe = _ripe(changed, ripe_until)
        owners = list(dict.fromkeys(str(line[lines.parent_field]) for line in ripe if line.get(lines.parent_field)))
        bodies: tuple[bytes, ...] = ()
        if owners:
            whole = await self._whole(shape, owners)
            if isinstance(whole, Problem):
                return whole
            if _ripe(*whole) != whole[0]:
                return problem("source.busy", "a record was changed within this second; it is read once that is over")
            bodies = tuple(_body(record) for record in whole[0])
        return SourcePage(bodies=bodies, next_cursor=_cursor_after(ripe, cursor), more=len(ripe) == limit)

    async def _present(self, shape: Shape) -> SourcePage | Problem:
        """Where lines stand now, by the server's clock."""
        answer = await self._client.run(
            lambda salesforce: salesforce.query(soql.count(shape=shape), include_deleted=True)["totalSize"]
        )
        if isinstance(answer, Failure):
            return problem_of(answer)
        now = (answer.answered_at or self._clock.now()) - self._settle - SECOND
        return SourcePage(bodies=(), next_cursor=soql.cursor_of(moment=now.astimezone(UTC), record_id=""), more=False)

    async def _owner(self, shape: Shape, record_id: str) -> str | Problem | None:
        lines = shape.lines
        assert lines is not None
        answer = await self._client.query(text=soql.parent_of_line(lines=lines, record_id=record_id))
        if isinstance(answer, Failure):
            return problem_of(answer)
        owner = str(answer.value[0].get(lines.parent_field) or "") if answer.value else ""
        return owner or None

    async def _whole(self, shape: Shape, ids: list[str]) -> tuple[list[dict[str, Any]], datetime | None] | Problem:
        columns: Columns | Problem | None = await self._descriptions.columns(shape=shape)
        if isinstance(columns, Problem):
            return columns
        if columns is None:
            return [], None
        return await self._ask(soql.by_ids(shape=shape, fields=columns.fields, lines=columns.lines, record_ids=ids))

    async def _ask(self, text: str) -> tuple[list[dict[str, Any]], datetime | None] | Problem:
        """A query's records, and until which moment what they say can't change any more."""
        asked_at = self._clock.now()
        answer = await self._client.query(text=text)
        if isinstance(answer, Failure):
            return problem_of(answer)
        return answer.value, self._ripe_until(answer, self._clock.now() - asked_at)

    def _ripe_until(self, answer: Answered, took: timedelta) -> datetime | None:
        if not self._settle or answer.answered_at is None:
            return None
        # The answer may have been made as long before it came as the question took.
        return answer.answered_at - max(took, timedelta(0)) - self._settle

    async def _wrong_side(self) -> Problem | None:
        """Test data must not reach live books, nor the other way round: asked once of the org itself."""
        if self._right_side:
            return None
        answer = await self._client.query(text="SELECT IsSandbox FROM Organization LIMIT 1")
        if isinstance(answer, Failure):
            return None if missing(answer) else problem_of(answer)
        is_sandbox = bool(answer.value and answer.value[0].get("IsSandbox"))
        if is_sandbox is not self._sandbox:
            said = "is a sandbox" if is_sandbox else "is no sandbox"
            return problem("source.refused", f"the org {said}, the connection says otherwise", field="sandbox")
        self._right_side = True
        return None


def _ripe(records: list[dict[str, Any]], until: datetime | None) -> list[dict[str, Any]]:
    """Records from the first on whose modification time, lines included, is over."""
    if until is None:
        return records
    found = []
    for record in records:
        if _latest(record) > until:
            break
        found.append(record)
    return found


def _latest(record: Mapping[str, Any]) -> datetime:
    stamps = [record["SystemModstamp"]]
    for value in record.values():
        children = value.get("records") if isinstance(value, dict) else None
        stamps += [child.get("SystemModstamp") for child in children or () if isinstance(child, dict)]
    return max(datetime.fromisoformat(str(stamp)) for stamp in stamps if stamp)


def _cursor_after(records: list[dict[str, Any]], cursor: str) -> str:
    if not records:
        return cursor
    moment = datetime.fromisoformat(str(records[-1]["SystemModstamp"]))
    return soql.cursor_of(moment=moment, record_id=long_form(record_id=str(records[-1]["Id"])))


def _body(record: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(record)


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random_module.Random,
) -> SalesforceReader:
    """The reader of one connection (entry point of the group `revline.readers`). KeyError or ValueError names what it lacks."""
    del random
    settings = connection.settings
    links = tuple(LinkRule(field=field, connection="", kind="") for field in connection.links)
    client = client_of(connection=connection, secrets=secrets, transport=transport, clock=clock)
    settle = float(settings.get("settleSeconds", "1"))
    if not 0 <= settle <= 60:
        raise ValueError("settleSeconds is 0 to 60")
    api_version = settings.get("apiVersion", API_VERSION)
    stream = ChangeStream(
        client=client,
        caller=client.caller,
        base_url=loopback_of(base_url=settings.get("baseUrl", "")),
        channel=settings.get("changesChannel", "/data/ChangeEvents"),
        api_version=api_version,
        hold=settings.get("holdChanges", "false") == "true",
    )
    return SalesforceReader(
        client=client,
        stream=stream,
        clock=clock,
        options=options_of(settings=settings, links=links),
        sandbox=connection.sandbox,
        settle=timedelta(seconds=settle),
        slots=int(settings.get("slots", "2")),
    )


def client_of(
    *, connection: Connection, secrets: Mapping[str, str], transport: httpx2.AsyncBaseTransport | None, clock: Clock
) -> SalesforceClient:
    """The client of one connection. Settings: see the how-to page; baseUrl is for a simulator on this machine only."""
    settings = connection.settings
    login = login_of(settings=settings, secrets=secrets)
    base_url = loopback_of(base_url=settings.get("baseUrl", ""))
    slots = int(settings.get("slots", "2"))
    if not 1 <= slots <= 16:
        raise ValueError("slots is 1 to 16")
    caller = HttpCaller(
        base_url=base_url or f"https://{login.my_domain or login.domain}.salesforce.com",
        transport=transport,
        headers={},
        secrets=login.secrets(),
        call_timeout=CHANGES_TIMEOUT,
        slots=slots + 2,
    )
    return SalesforceClient(
        login=login,
        caller=caller,
        clock=clock,
        api_version=settings.get("apiVersion", API_VERSION),
        base_url=base_url,
        slots=slots,
        reserve_percent=int(settings.get("apiReservePercent", "5")),
        call_timeout=CHANGES_TIMEOUT,
    )
