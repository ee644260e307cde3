"""More planted defects: around delivery, in what people do, in reading and telling the source, in facts and books.

A defect is applied to the running process and taken back again. One that no longer fits the code fails loudly.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from revline.delivery import (
    naming,
    putting_back,
)
from revline.derive import balance, expectation, invoice, payment
from revline.derive import record as derive_record
from revline.feedback import telling
from revline.intake import record as intake_record
from revline.intake.readings import Readings
from revline.intake.values import Form
from tests.sim.planting import defect

# -- acts of people


@defect("what was set aside is forgotten when it is put back")
def put_back_nowhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(putting_back.work_record, "come_back", lambda *_, **__: None)


@defect("a record that a person names is not written down")
def named_in_vain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(naming, "store_record", lambda *_, **__: None)


# -- reading the source and telling it


@defect("what the source's log shows is not taken in when its webhook was lost")
def lost_webhook_stays_lost(patch: pytest.MonkeyPatch) -> None:
    real = Readings._accept

    def accept(self: Any, *, bodies: Any, form: Any, **given: Any) -> Any:
        return real(self, bodies=() if form is Form.MESSAGE else bodies, form=form, **given)

    patch.setattr(Readings, "_accept", accept)


@defect("a page of a listing is passed by after the first")
def page_skipped(patch: pytest.MonkeyPatch) -> None:
    real = Readings._accept
    patch.setattr(Readings, "_accept", lambda self, *, bodies, **given: real(self, bodies=bodies[1:], **given))


@defect("what the source was told before is not remembered")
def told_twice(patch: pytest.MonkeyPatch) -> None:
    real = telling.due_write_backs
    patch.setattr(telling, "due_write_backs", lambda *, wanted, told: real(wanted=wanted, told={}))


@defect("the source is told nothing after the first time")
def told_once_for_all(patch: pytest.MonkeyPatch) -> None:
    real = telling.due_write_backs

    def due(*, wanted: Any, told: Any) -> Any:
        return tuple(one for one in real(wanted=wanted, told=told) if one.target_id not in told)

    patch.setattr(telling, "due_write_backs", due)


# -- facts and books


@defect("a message that comes twice is taken in twice")
def taken_in_twice(patch: pytest.MonkeyPatch) -> None:
    real = intake_record._Batch.take
    count = [0]

    def take(self: Any, one: Any) -> Any:
        count[0] += 1
        facts = tuple(
            msgspec.structs.replace(fact, source_event=f"{fact.source_event}#{count[0]}") for fact in one.facts
        )
        return real(self, msgspec.structs.replace(one, facts=facts))

    patch.setattr(intake_record._Batch, "take", take)


@defect("the snapshot that came last wins, not the newest")
def stale_snapshot_wins(patch: pytest.MonkeyPatch) -> None:
    def last(facts: Any) -> Any:
        return max(facts, key=lambda fact: (fact.position, fact.ordinal))

    patch.setattr(expectation, "newest", last)
    for module in (invoice, payment, balance):
        if hasattr(module, "newest"):
            patch.setattr(module, "newest", last)


@defect("what became of a fact is not written down")
def no_disposition(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(derive_record.Writer, "_write_disposition", lambda self, *_, **__: None)


@defect("a reversal is booked and never sent")
def reversal_not_sent(patch: pytest.MonkeyPatch) -> None:
    real = derive_record.delivery.write_documents

    def write(unit: Any, *, documents: Any, **given: Any) -> Any:
        return real(unit, documents=[one for one in documents if not one.reverses], **given)

    patch.setattr(derive_record.delivery, "write_documents", write)
