"""A person mends a copy of what a source sent: the original stays, the books follow, a second person decides what is large."""

from __future__ import annotations

import os

import msgspec
import pytest

from revline.core.problem import Problem
from revline.intake.correcting import Correction, Corrections, corrections
from revline.intake.corrections import CorrectionPolicy, CorrectionState
from tests.harness import Harness
from tests.integration.derive.world import TENANT, at, customer, invoice, rows, tell, webhook


def desk(harness: Harness, policy: CorrectionPolicy | None = None) -> Corrections:
    return Corrections(
        database=harness.database,
        clock=harness.clock,
        random_bytes=os.urandom,
        channels=harness.directory,
        policy=lambda tenant_id: policy,
    )


def issued(harness: Harness, total: int = 10_000) -> tuple[str, bytes]:
    """An issued invoice; gives its fact's id and its bytes."""
    body = webhook("invoice.finalized", invoice(total=total), created=at(4))
    tell(harness, webhook("customer.created", customer(), created=at(1)), body)
    found = rows(harness, "SELECT fact_id FROM fact WHERE tenant_id = :tenant AND object_kind = 'invoice'")
    return found[0][0], body


def with_total(body: bytes, total: int) -> bytes:
    event = msgspec.json.decode(body)
    event["data"]["object"] = invoice(total=total)
    return msgspec.json.encode(event)


def receivable(harness: Harness) -> str:
    found = rows(
        harness,
        "SELECT sum(debit - credit)::text FROM journal_line"
        " WHERE tenant_id = :tenant AND account = 'accounts_receivable'",
    )
    return str(found[0][0]).rstrip("0").rstrip(".")


def correct(harness: Harness, corrections_desk: Corrections, fact_id: str, body: bytes) -> Correction | Problem:
    return corrections_desk.propose(
        tenant_id=TENANT, subject_kind="fact", subject_id=fact_id, body=body, actor="person:ann", reason="wrong total"
    )


def test_a_corrected_invoice_is_reversed_and_booked_again_and_its_original_stays(harness: Harness) -> None:
    fact_id, body = issued(harness)
    assert receivable(harness) == "100"
    done = correct(harness, desk(harness), fact_id, with_total(body, 12_500))
    assert isinstance(done, Correction)
    assert (done.state, done.decided_by) == (CorrectionState.APPLIED, "person:ann")
    harness.derive_all()
    assert receivable(harness) == "125"
    assert len(rows(harness, "SELECT 1 FROM fact WHERE tenant_id = :tenant AND object_kind = 'invoice'")) == 2


def test_what_the_source_says_later_stands_above_a_correction(harness: Harness) -> None:
    fact_id, body = issued(harness)
    correct(harness, desk(harness), fact_id, with_total(body, 12_500))
    tell(harness, webhook("invoice.updated", invoice(total=13_000), created=at(6)))
    assert receivable(harness) == "130"


@pytest.mark.parametrize("totals", [(11_000, 12_000, 13_000), (13_000, 12_000, 11_000)])
def test_of_several_corrections_of_one_original_the_last_stands(harness: Harness, totals: tuple[int, ...]) -> None:
    fact_id, body = issued(harness)
    for total in totals:
        assert isinstance(correct(harness, desk(harness), fact_id, with_total(body, total)), Correction)
        harness.derive_all()
        assert receivable(harness) == str(total // 100)


def test_a_second_person_decides_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who look at the same moment both see it proposed; the one who comes second is told that it is decided."""
    fact_id, body = issued(harness)
    both = desk(harness, CorrectionPolicy(others=True))
    waiting = correct(harness, both, fact_id, with_total(body, 12_500))
    assert isinstance(waiting, Correction)
    looked = both._translated

    def meanwhile(*given: object) -> object:
        monkeypatch.setattr(both, "_translated", looked)
        decided = both.decide(
            tenant_id=TENANT, correction_id=waiting.correction_id, apply=False, actor="person:eve", reason="no proof"
        )
        assert isinstance(decided, Correction)
        return looked(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(both, "_translated", meanwhile)
    late = both.decide(
        tenant_id=TENANT, correction_id=waiting.correction_id, apply=True, actor="person:bob", reason="checked"
    )
    assert isinstance(late, Problem)
    assert late.code == "correction.unknown"
    harness.derive_all()
    assert receivable(harness) == "100"


def test_a_copy_of_another_object_or_without_a_change_is_refused_and_writes_nothing(harness: Harness) -> None:
    fact_id, body = issued(harness)
    other = msgspec.json.decode(body)
    other["data"]["object"]["id"] = "in_2"
    refused = correct(harness, desk(harness), fact_id, msgspec.json.encode(other))
    assert isinstance(refused, Problem)
    assert refused.code == "correction.other_object"
    same = correct(harness, desk(harness), fact_id, body)
    assert isinstance(same, Problem)
    assert same.code == "correction.unchanged"
    broken = correct(harness, desk(harness), fact_id, b"{")
    assert isinstance(broken, Problem)
    with harness.database.read(tenants=[TENANT]) as connection:
        assert corrections(connection, tenant_id=TENANT) == ()


def test_a_large_correction_waits_for_a_second_person_who_is_not_its_author(harness: Harness) -> None:
    fact_id, body = issued(harness)
    policy = msgspec.convert({"secondPersonAbove": {"USD": "110.00"}}, CorrectionPolicy, dec_hook=_amount)
    large = desk(harness, policy)
    waiting = correct(harness, large, fact_id, with_total(body, 12_500))
    assert isinstance(waiting, Correction)
    assert waiting.state is CorrectionState.PROPOSED
    harness.derive_all()
    assert receivable(harness) == "100"
    own = large.decide(
        tenant_id=TENANT, correction_id=waiting.correction_id, apply=True, actor="person:ann", reason="mine"
    )
    assert isinstance(own, Problem)
    assert own.code == "correction.same_person"
    done = large.decide(
        tenant_id=TENANT, correction_id=waiting.correction_id, apply=True, actor="person:bob", reason="checked"
    )
    assert isinstance(done, Correction)
    harness.derive_all()
    assert receivable(harness) == "125"
    again = large.decide(
        tenant_id=TENANT, correction_id=waiting.correction_id, apply=False, actor="person:bob", reason="no"
    )
    assert isinstance(again, Problem)
    assert again.code == "correction.unknown"


def test_a_refused_correction_changes_nothing(harness: Harness) -> None:
    fact_id, body = issued(harness)
    policy = CorrectionPolicy(others=True)
    waiting = correct(harness, desk(harness, policy), fact_id, with_total(body, 12_500))
    assert isinstance(waiting, Correction)
    refused = desk(harness, policy).decide(
        tenant_id=TENANT, correction_id=waiting.correction_id, apply=False, actor="person:bob", reason="no proof"
    )
    assert isinstance(refused, Correction)
    assert refused.state is CorrectionState.REFUSED
    harness.derive_all()
    assert receivable(harness) == "100"


def test_a_mended_copy_that_holds_its_object_only_in_part_is_refused(harness: Harness) -> None:
    event = msgspec.json.decode(webhook("invoice.finalized", invoice(), created=at(4)))
    event["data"]["object"]["total"] = "many"
    harness.accept(TENANT, "stripe-us", [msgspec.json.encode(event)])
    found = rows(harness, "SELECT untranslated_id FROM untranslated WHERE tenant_id = :tenant")
    event["data"]["object"]["total"] = 10_000
    event["data"]["object"]["lines"]["has_more"] = True
    refused = desk(harness).propose(
        tenant_id=TENANT,
        subject_kind="input",
        subject_id=found[0][0],
        body=msgspec.json.encode(event),
        actor="person:ann",
        reason="the total is a number",
    )
    assert isinstance(refused, Problem)
    assert refused.code == "correction.incomplete"
    with harness.database.read(tenants=[TENANT]) as connection:
        assert corrections(connection, tenant_id=TENANT) == ()


def test_a_kept_input_is_mended_and_its_case_closes(harness: Harness) -> None:
    event = msgspec.json.decode(webhook("invoice.finalized", invoice(), created=at(4)))
    event["data"]["object"]["total"] = "many"
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    harness.accept(TENANT, "stripe-us", [msgspec.json.encode(event)])
    found = rows(harness, "SELECT untranslated_id FROM untranslated WHERE tenant_id = :tenant")
    event["data"]["object"]["total"] = 10_000
    done = desk(harness).propose(
        tenant_id=TENANT,
        subject_kind="input",
        subject_id=found[0][0],
        body=msgspec.json.encode(event),
        actor="person:ann",
        reason="the total is a number",
    )
    assert isinstance(done, Correction)
    harness.derive_all()
    assert receivable(harness) == "100"
    assert rows(harness, "SELECT 1 FROM exception_case WHERE tenant_id = :tenant AND state = 'open'") == []


def _amount(kind: type, value: object) -> object:
    from revline.core.money import decode_hook  # noqa: PLC0415

    return decode_hook(kind, value)
