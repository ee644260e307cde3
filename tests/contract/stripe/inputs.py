"""Stripe inputs for tests: the documented objects in `fixtures`, changed where a test says so, and events around them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.translate import translate, translate_object
from revline.core.facts import Incomplete, TranslatedFact
from revline.core.problem import Problem

FIXTURES = Path(__file__).parent / "fixtures"
NEW_YORK = SourceContext(connection="stripe_us", entity="us", time_zone="America/New_York", sandbox=True)


def stripe_object(fixture: str, /, **changes: Any) -> dict[str, Any]:
    """A documented object; `changes` replace its fields."""
    value: dict[str, Any] = json.loads((FIXTURES / f"{fixture}.json").read_text())
    return copy.deepcopy(value) | changes


def event(
    kind: str, thing: dict[str, Any], *, created: int = 1_793_700_000, event_id: str = "evt_1", **more: Any
) -> bytes:
    """A webhook body about an object."""
    envelope = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "data": {"object": thing},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": None},
        "type": kind,
    }
    return json.dumps(envelope | more).encode()


def facts(body: bytes, context: SourceContext = NEW_YORK) -> tuple[TranslatedFact, ...]:
    """The facts of a webhook that must translate."""
    found = translate(body=body, context=context)
    assert not isinstance(found, Problem), found
    assert not [one for one in found if isinstance(one, Incomplete)]
    return tuple(one for one in found if isinstance(one, TranslatedFact))


def incomplete(kind: str, thing: dict[str, Any], **more: Any) -> Incomplete:
    """What the event asks to be read; it must ask for one thing."""
    found = translate(body=event(kind, thing, **more), context=NEW_YORK)
    assert not isinstance(found, Problem), found
    (asked,) = (one for one in found if isinstance(one, Incomplete))
    return asked


def fact(kind: str, thing: dict[str, Any], **more: Any) -> TranslatedFact:
    """The one fact of an event that must translate."""
    found = facts(event(kind, thing, **more))
    assert len(found) == 1
    return found[0]


def imported(thing: dict[str, Any], context: SourceContext = NEW_YORK) -> tuple[TranslatedFact, ...]:
    """The facts of an API object that must translate."""
    found = translate_object(body=json.dumps(thing).encode(), context=context)
    assert not isinstance(found, Problem), found
    return found


def refusal(kind: str, thing: dict[str, Any], **more: Any) -> Problem:
    """The problem of an event that must not translate."""
    found = translate(body=event(kind, thing, **more), context=NEW_YORK)
    assert isinstance(found, Problem), found
    return found
