"""What becomes of roots that can't be derived: nothing is silent, nothing passes for a failure of the root that is none."""

from __future__ import annotations

import pytest
from psycopg.errors import DeadlockDetected
from structlog.testing import capture_logs

from revline.core.problem import problem
from revline.derive import service as derive_service
from revline.derive.record import Writer
from revline.intake import queries as fact_log
from revline.platform.tenancy.secrets import SecretResolver
from tests.harness import Harness
from tests.integration.derive.world import (
    TENANT,
    at,
    customer,
    facts_without_disposition,
    invoice,
    open_cases,
    rows,
    tell,
    webhook,
)


def test_a_deadlock_is_tried_again_and_is_no_case_of_the_root(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([DeadlockDetected(), DeadlockDetected()])
    real = Writer.write_plans

    def once_in_a_while(self: Writer, **given: object) -> None:
        real(self, **given)  # type: ignore[arg-type]
        failure = next(failures, None)
        if failure is not None:
            raise failure

    monkeypatch.setattr(Writer, "write_plans", once_in_a_while)
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    assert open_cases(harness) == []
    assert rows(harness, "SELECT parked_code FROM lane WHERE tenant_id = :tenant AND parked_code <> ''") == []
    assert len(rows(harness, "SELECT 1 FROM document WHERE tenant_id = :tenant")) == 1


def test_a_database_that_stays_away_leaves_the_roots_for_later(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.accept(TENANT, "stripe-us", [webhook("customer.created", customer(), created=at(1))])

    def away(self: Writer, **given: object) -> None:
        raise DeadlockDetected

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write_plans", away)
        with pytest.raises(DeadlockDetected):
            harness.derive.turn()
    assert open_cases(harness) == []
    assert rows(harness, "SELECT parked_code FROM lane WHERE tenant_id = :tenant AND parked_code <> ''") == []


def test_a_root_with_too_many_facts_is_parked_with_a_case_and_its_neighbours_go_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_log, "FACTS_PER_ROOT_MAX", 2)
    bodies = [webhook("customer.updated", customer(name=f"Acme {day}"), created=at(day)) for day in range(1, 5)]
    bodies += [webhook("customer.created", customer(id=f"cus_other_{number}"), created=at(1)) for number in range(3)]
    harness.accept(TENANT, "stripe-us", bodies)
    harness.derive_all()
    assert [case.code for case in open_cases(harness)] == ["internal.unexpected"]
    assert len(rows(harness, "SELECT 1 FROM document WHERE tenant_id = :tenant")) == 3
    monkeypatch.setattr(fact_log, "FACTS_PER_ROOT_MAX", 20_000)
    subjects = [case.subject_id for case in open_cases(harness)]
    harness.intake.request_roots(tenant_id=TENANT, subject_ids=subjects, actor="test", reason="mended")
    harness.derive_all()
    assert open_cases(harness) == []


def test_facts_of_a_root_that_is_refused_say_that_they_are_in_a_case(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = problem("configuration.missing", "nothing is active", field=TENANT)
    with monkeypatch.context() as patch:
        patch.setattr(harness.directory, "derive_configuration", lambda *, tenant_id: refusal)
        tell(harness, webhook("customer.created", customer(), created=at(1)))
    assert [case.code for case in open_cases(harness)] == ["configuration.missing"]
    assert facts_without_disposition(harness) == 0
    assert rows(harness, "SELECT verdict, rule FROM disposition WHERE tenant_id = :tenant") == [
        ("case", "configuration.missing")
    ]
    subjects = [case.subject_id for case in open_cases(harness)]
    harness.intake.request_roots(tenant_id=TENANT, subject_ids=subjects, actor="test", reason="mended")
    harness.derive_all()
    assert open_cases(harness) == []
    assert rows(harness, "SELECT verdict, rule FROM disposition WHERE tenant_id = :tenant") == [("effects", "")]


def test_facts_of_a_root_whose_derive_failed_say_so_too(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**given: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(derive_service, "plan_root", broken)
    tell(harness, webhook("invoice.finalized", invoice(), created=at(4)))
    assert [case.code for case in open_cases(harness)] == ["internal.unexpected"]
    assert facts_without_disposition(harness) == 0


def test_a_webhook_whose_signing_secret_is_missing_is_refused_and_the_operator_hears_why(harness: Harness) -> None:
    harness.directory._secrets = SecretResolver(folder=None, environment={})
    with capture_logs() as said:
        refused = harness.channel(TENANT, "stripe-us").verify(headers={}, body=b"{}", now=harness.clock.now())
    assert refused is not None
    assert [line["event"] for line in said] == ["webhook.secret_missing"]
