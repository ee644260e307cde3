"""Questions as they come in through a door: read exactly, answered by the rooms, given back as plain values. Writes nothing.

Canonical objects are read by the same code as those that are sent, so what is refused here would be refused there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from revline.connectors.direct import translate as direct
from revline.connectors.sdk.source import SourceContext
from revline.core.canonical import KINDS, Order, Subscription
from revline.core.clock import Clock
from revline.core.exact_json import parse_object
from revline.core.facts import TranslatedFact
from revline.core.hashing import canonical_bytes, plain
from revline.core.ids import SourceObject
from revline.core.money import decode_hook
from revline.core.problem import FieldError, Problem, problem
from revline.derive.drafts import InvoiceDraft, draft_invoice
from revline.derive.master_data import MasterQuestions
from revline.derive.ports import Configurations
from revline.derive.preview import RootPreview
from revline.derive.questions import Questions

BODY_BYTES_MAX: Final = 1_048_576
DEPTH_MAX: Final = 40
EVENT_MEMBERS: Final = ("specversion", "type", "data")
Answer = dict[str, Any]


class JournalQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would facts book? facts: CloudEvents as they would be sent, or {kind, object}. connection: their source, not needed
    when the tenant has one. root: a known record; facts about its objects then stand instead of what is known of those."""

    connection: str = ""
    facts: tuple[msgspec.Raw, ...] = ()
    root: SourceObject | None = None


class GivenObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A canonical object by its kind."""

    kind: str
    object: msgspec.Raw


class InvoiceQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be billed? Exactly one of draft (lines), order and subscription (canonical objects)."""

    connection: str = ""
    draft: InvoiceDraft | None = None
    order: msgspec.Raw = msgspec.Raw()
    subscription: msgspec.Raw = msgspec.Raw()


class OrderQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Can this order be carried out? order: a canonical order."""

    connection: str = ""
    order: msgspec.Raw


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Every question a door takes. configurations: the active configuration of a tenant."""

    questions: Questions
    master: MasterQuestions
    configurations: Configurations
    clock: Clock

    def preview_journal(self, *, tenant_id: str, body: bytes) -> Answer | Problem:
        """Accounting events, journals and documents that facts would make, what would change, and why anything can't be."""
        asked = _read(body, JournalQuestion)
        if isinstance(asked, Problem):
            return asked
        named = asked.connection or (asked.root.connection if asked.root else "")
        connection = self._connection(tenant_id, named)
        if isinstance(connection, Problem):
            return connection
        facts: list[TranslatedFact] = []
        for place, raw in enumerate(asked.facts):
            found = self._fact(bytes(raw), connection, place)
            if isinstance(found, Problem):
                return found
            facts.extend(found)
        previews = self.questions.journal(tenant_id=tenant_id, given=facts, root=asked.root)
        return previews if isinstance(previews, Problem) else _journals(previews)

    def preview_invoice(self, *, tenant_id: str, body: bytes) -> Answer | Problem:
        """The invoice of lines, an order or a subscription with exact totals, and what it would book."""
        asked = _read(body, InvoiceQuestion)
        if isinstance(asked, Problem):
            return asked
        if sum((asked.draft is not None, bool(bytes(asked.order)), bool(bytes(asked.subscription)))) != 1:
            return _invalid("", "exactly one of draft, order and subscription")
        connection = self._connection(tenant_id, asked.connection)
        if isinstance(connection, Problem):
            return connection
        draft = asked.draft or self._draft(tenant_id, connection.connection, asked)
        made = draft if isinstance(draft, Problem) else draft_invoice(draft=draft)
        if isinstance(made, Problem):
            return made
        facts = self._fact(canonical_bytes({"kind": "invoice", "object": made.invoice}), connection, 0)
        if isinstance(facts, Problem):
            return facts
        previews = self.questions.journal(tenant_id=tenant_id, given=facts)
        if isinstance(previews, Problem):
            return previews
        rounding = {"rule": made.rounding, "lines": made.rounded, "residue": made.residue}
        return {**_plain({"invoice": made.invoice, "rounding": rounding}), **_journals(previews)}

    def validate_order(self, *, tenant_id: str, body: bytes) -> Answer | Problem:
        """Whether an order can be carried out; every reason against it."""
        asked = _read(body, OrderQuestion)
        if isinstance(asked, Problem):
            return asked
        connection = self._connection(tenant_id, asked.connection)
        if isinstance(connection, Problem):
            return connection
        order = _object(bytes(asked.order), "order")
        if isinstance(order, Problem):
            return order
        assert isinstance(order, Order)
        reasons = self.questions.order(tenant_id=tenant_id, connection=connection.connection, order=order)
        if isinstance(reasons, Problem):
            return reasons
        return {"accepted": not reasons, "reasons": _plain(reasons)}

    def credit(self, *, tenant_id: str, customer: str, connection: str, as_of: date | None) -> Answer | Problem:
        """A customer's open items, limits and whether it is blocked, at the end of a day."""
        found = self.questions.credit(tenant_id=tenant_id, customer=customer, connection=connection, as_of=as_of)
        if isinstance(found, Problem):
            return found
        source, standing = found
        return {"customer": _plain(source), **_plain(standing)}

    def master_data(self, *, tenant_id: str, kind: str, key: str) -> Answer | Problem:
        """What ERPs call a key, or every key of a kind."""
        found = self.master.look_up(tenant_id=tenant_id, kind=kind, key=key)
        return found if isinstance(found, Problem) else _plain(found)

    def _draft(self, tenant_id: str, connection: str, asked: InvoiceQuestion) -> InvoiceDraft | Problem:
        kind, raw = ("order", asked.order) if bytes(asked.order) else ("subscription", asked.subscription)
        found = _object(bytes(raw), kind)
        if isinstance(found, Problem):
            return found
        return self.questions.draft(
            tenant_id=tenant_id,
            connection=connection,
            order=found if isinstance(found, Order) else None,
            subscription=found if isinstance(found, Subscription) else None,
        )

    def _connection(self, tenant_id: str, named: str) -> SourceContext | Problem:
        configuration = self.configurations.derive_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        name = named or (next(iter(configuration.scopes)) if len(configuration.scopes) == 1 else "")
        scope = configuration.scopes.get(name)
        if scope is None:
            known = ", ".join(sorted(configuration.scopes)[:20])
            what = f"there is no source connection {name[:60]!r}" if name else "name the source connection"
            return problem("connection.unknown", f"{what}; there are: {known}", field="connection")
        return SourceContext(connection=name, entity=scope.entity, time_zone=scope.time_zone, sandbox=True)

    def _fact(self, raw: bytes, context: SourceContext, place: int) -> tuple[TranslatedFact, ...] | Problem:
        values = parse_object(raw, bytes_max=BODY_BYTES_MAX, depth_max=DEPTH_MAX)
        if isinstance(values, Problem):
            return values
        if all(member in values for member in EVENT_MEMBERS):
            return direct.translate(body=raw, context=context)
        given = _convert(raw, GivenObject, pointer=f"/facts/{place}")
        if isinstance(given, Problem):
            return given
        if given.kind not in KINDS:
            return _invalid(f"/facts/{place}/kind", f"{given.kind[:40]!r} is none of {', '.join(sorted(KINDS))}")
        event = {
            "specversion": "1.0",
            "id": f"preview-{place}",
            "source": "preview",
            "type": f"revline.{given.kind}.v1",
            "time": plain(self.clock.now()),
            "data": given.object,
        }
        return direct.translate(body=msgspec.json.encode(event), context=context)


def _read(body: bytes, shape: type[Any]) -> Any:
    """A request body; json.* or http.request_invalid with the place."""
    values = parse_object(body, bytes_max=BODY_BYTES_MAX, depth_max=DEPTH_MAX)
    return values if isinstance(values, Problem) else _convert(body, shape, pointer="")


def _convert(raw: bytes, shape: type[Any], *, pointer: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=shape, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        return _invalid(pointer + path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", ""), detail)


def _object(raw: bytes, kind: str) -> Any:
    values = parse_object(raw, bytes_max=BODY_BYTES_MAX, depth_max=DEPTH_MAX)
    return values if isinstance(values, Problem) else direct.read_object(values, kind=kind, pointer=f"/{kind}")


def _invalid(pointer: str, detail: str) -> Problem:
    error = FieldError(pointer=pointer, detail=detail[:200])
    return problem("http.request_invalid", detail[:200], field=pointer, errors=(error,))


def _journals(previews: Sequence[RootPreview]) -> Answer:
    reasons = sorted({reason for preview in previews for reason in preview.reasons})
    return {"postable": not reasons, "reasons": _plain(reasons), "roots": _plain(previews)}


def _plain(value: Any) -> Any:
    made = plain(value)
    return dict(made) if isinstance(made, Mapping) else made
