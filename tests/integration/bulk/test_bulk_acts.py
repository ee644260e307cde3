"""One act on many documents: the set is frozen, previewed, gone through in batches, stopped between them; nothing is done twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from revline.core.documents import DocumentState
from revline.core.farside import Rejected
from revline.core.problem import Problem, problem
from revline.delivery import acts
from revline.delivery.bulk import DocumentAct
from revline.delivery.permitted import Act
from revline.platform.bulk import queries
from revline.platform.bulk.causes import RETRY, RetryOfCause
from revline.platform.bulk.ports import NeedsSecondPerson
from revline.platform.bulk.runner import BulkRunner
from revline.platform.bulk.service import BulkActs
from revline.platform.bulk.values import BulkAct, BulkState, Chosen, Money, Outcome, Subject
from revline.platform.cases import queries as cases
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal, shift_database

ANN: Mapping[str, str] = {"actor": "person:ann", "reason": "the account is there"}
KIM: Mapping[str, str] = {"actor": "person:kim", "reason": "looked at it"}


class Office:
    """A world with twelve refused documents, the service people use and a runner with small batches."""

    def __init__(self, database: Database, *, limit: Decimal | None = None, refused: int = 12) -> None:
        self.world = World(database, FakeConnector(FarSystem()))
        self.world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
        self.world.write(*(journal(f"d{number}") for number in range(refused)))
        self.world.deliver(turns=400)
        self.world.connector.before = lambda step: None
        self.handlers = {
            RETRY: RetryOfCause(retriers={"document": _retry}, beforehand={}),
            **{act.value: DocumentAct(database=database, act=act) for act in (Act.RESEND, Act.SKIP, Act.WAIVE)},
        }
        counter = itertools.count()

        def second_person(tenant_id: str, /) -> NeedsSecondPerson:
            return lambda money: limit is not None and any(one.amount > limit for one in money)

        self.bulk = BulkActs(
            database=database,
            clock=self.world.clock,
            random_bytes=lambda size: next(counter).to_bytes(size, "big"),
            handlers=self.handlers,
            second_person=second_person,
        )

    def runner(self, owner: str = "one", *, handlers: Mapping[str, Any] | None = None) -> BulkRunner:
        return BulkRunner(
            database=self.world.database,
            handlers=handlers or self.handlers,
            clock=self.world.clock,
            owner=owner,
            batch=5,
        )

    def start(self, kind: str = RETRY, *, who: Mapping[str, str] = ANN, **given: str) -> BulkAct:
        made = self.bulk.start(tenant_id="alpha", kind=kind, given=given, **who)
        assert isinstance(made, BulkAct), made
        return made

    def act(self, act_id: str) -> BulkAct:
        with self.world.database.read(tenants=["alpha"]) as connection:
            found = queries.act(connection, tenant_id="alpha", act_id=act_id)
        assert found is not None
        return found

    def outcomes(self, act_id: str) -> list[Outcome]:
        with self.world.database.read(tenants=["alpha"]) as connection:
            return [one.outcome for one in queries.items(connection, tenant_id="alpha", act_id=act_id)]

    def resent(self) -> int:
        """How often a document was set going by the author's word."""
        with self.world.database.read(tenants=["alpha"]) as connection:
            return int(
                connection.execute(
                    text(
                        "SELECT count(*) FROM document_transition AS change JOIN unit USING (tenant_id, position)"
                        " WHERE change.tenant_id = 'alpha' AND change.to_state = 'ready' AND unit.actor = 'person:ann'"
                    )
                ).scalar_one()
            )


def _retry(unit: Unit, /, *, tenant_id: str, identities: Sequence[str]) -> Mapping[str, Problem]:
    return acts.retry_in(unit, tenant_id=tenant_id, document_ids=identities)


def run(runner: BulkRunner, *, turns: int = 20) -> None:
    for _ in range(turns):
        if not runner.turn():
            return


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def test_everything_of_a_cause_is_tried_again_and_counted(office: Office) -> None:
    with office.world.database.read(tenants=["alpha"]) as connection:
        (cause,) = cases.causes(connection, tenant_id="alpha")
    started = office.start(cause=cause.cause_id)
    assert (started.state, started.records) == (BulkState.RUNNING, 12)
    assert started.money == (Money(currency="USD", amount=Decimal("120.00"), records=12),)
    run(office.runner())
    ended = office.act(started.act_id)
    assert (ended.state, ended.done, ended.refused, ended.failed) == (BulkState.DONE, 12, 0, 0)
    office.world.deliver(turns=400)
    assert len(office.world.posted_in_order()) == 12
    assert office.outcomes(started.act_id) == [Outcome.DONE] * 12


def test_a_preview_counts_and_writes_nothing(office: Office) -> None:
    found = office.bulk.preview(tenant_id="alpha", kind="waive", given={"state": "rejected"})
    assert not isinstance(found, Problem)
    assert (found.records, len(found.sample)) == (12, 10)
    assert "is rejected" in found.sample[0].detail
    with office.world.database.read(tenants=["alpha"]) as connection:
        assert queries.acts(connection, tenant_id="alpha") == ()


@pytest.mark.parametrize(
    ("kind", "given", "code"),
    [
        ("fly", {}, "bulk.kind_unknown"),
        ("waive", {"colour": "red"}, "bulk.filter_unknown"),
        ("waive", {"connection": "x" * 300}, "bulk.filter_unknown"),
        ("waive", {"connection": "nowhere"}, "bulk.empty"),
        ("waive", {"cause": ""}, "bulk.filter_unknown"),
    ],
)
def test_what_can_not_be_started_says_why(office: Office, kind: str, given: Mapping[str, str], code: str) -> None:
    answer = office.bulk.start(tenant_id="alpha", kind=kind, given=given, **ANN)
    assert isinstance(answer, Problem)
    assert answer.code == code


def test_two_filters_choose_what_fits_both(office: Office) -> None:
    with office.world.database.read(tenants=["alpha"]) as connection:
        (cause,) = cases.causes(connection, tenant_id="alpha")
        (subject, *_) = cases.cases(connection, tenant_id="alpha", cause_id=cause.cause_id)
    given = {"cause": cause.cause_id, "behind": subject.subject_id}
    found = office.bulk.preview(tenant_id="alpha", kind="waive", given=given)
    assert not isinstance(found, Problem)
    assert found.records == 0, "every one of them is of the cause, and none waits behind another"


def test_a_set_that_changed_since_it_was_shown_is_not_started(office: Office) -> None:
    answer = office.bulk.start(tenant_id="alpha", kind="waive", given={}, expected=11, **ANN)
    assert isinstance(answer, Problem)
    assert answer.code == "bulk.changed"


def test_the_same_act_is_not_started_twice(office: Office) -> None:
    first = office.start()
    again = office.bulk.start(tenant_id="alpha", kind=RETRY, given={}, **KIM)
    assert isinstance(again, Problem)
    assert (again.code, again.field) == ("bulk.running", first.act_id)


def test_the_set_is_frozen_when_it_is_started(office: Office) -> None:
    started = office.start("waive", state="rejected")
    office.world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    office.world.write(journal("late"))
    office.world.deliver(turns=400)
    run(office.runner())
    assert office.act(started.act_id).done == 12
    assert office.world.state("late") is DocumentState.REJECTED


def test_records_that_are_not_open_to_it_any_more_are_refused_with_why(office: Office) -> None:
    started = office.start("resend", state="rejected")
    acts.waive(
        office.world.database,
        tenant_id="alpha",
        document_id=document_id("d3"),
        recorded_at=office.world.clock.now(),
        **ANN,
    )
    run(office.runner())
    ended = office.act(started.act_id)
    assert (ended.done, ended.refused) == (11, 1)
    with office.world.database.read(tenants=["alpha"]) as connection:
        (one,) = queries.items(connection, tenant_id="alpha", act_id=started.act_id, outcome="refused")
    assert (one.subject_id, one.problem_code) == (document_id("d3"), "document.finished")


def test_abort_stops_between_batches_and_what_was_done_stays(office: Office) -> None:
    started = office.start()
    runner = office.runner()
    runner.turn()
    answer = office.bulk.abort(tenant_id="alpha", act_id=started.act_id, **KIM)
    assert isinstance(answer, BulkAct)
    assert (answer.state, answer.done, answer.decided_by) == (BulkState.ABORTED, 5, "person:kim")
    run(runner)
    assert office.act(started.act_id).done == 5
    assert office.outcomes(started.act_id).count(Outcome.NONE) == 7
    refused = office.bulk.resume(tenant_id="alpha", act_id=started.act_id, **KIM)
    assert isinstance(refused, Problem)
    assert refused.code == "bulk.ended"


def test_a_paused_act_goes_on_where_it_stopped(office: Office) -> None:
    started = office.start()
    runner = office.runner()
    runner.turn()
    office.bulk.pause(tenant_id="alpha", act_id=started.act_id, **KIM)
    run(runner)
    assert office.act(started.act_id).done == 5
    office.bulk.resume(tenant_id="alpha", act_id=started.act_id, **KIM)
    run(runner)
    assert office.act(started.act_id).state is BulkState.DONE
    assert office.resent() == 12


def test_above_the_threshold_somebody_else_starts_it(database: Database) -> None:
    office = Office(database, limit=Decimal(100))
    proposed = office.start()
    assert proposed.state is BulkState.PROPOSED
    run(office.runner())
    assert office.act(proposed.act_id).treated == 0
    own = office.bulk.decide(tenant_id="alpha", act_id=proposed.act_id, apply=True, **ANN)
    assert isinstance(own, Problem)
    assert own.code == "bulk.same_person"
    decided = office.bulk.decide(tenant_id="alpha", act_id=proposed.act_id, apply=True, **KIM)
    assert isinstance(decided, BulkAct)
    run(office.runner())
    ended = office.act(proposed.act_id)
    assert (ended.state, ended.done, ended.decided_by) == (BulkState.DONE, 12, "person:kim")


def test_amounts_of_either_sign_do_not_hide_each_other_from_the_second_person(database: Database) -> None:
    office = Office(database, limit=Decimal(100))

    class Netting:
        """A set that comes to nothing and is worth two thousand."""

        filters = frozenset[str]()

        def choose(self, *_: Any, **__: Any) -> tuple[Sequence[Chosen], str]:
            amounts = {"d0": Decimal(1_000), "d1": Decimal(-1_000)}
            chosen = [
                Chosen(subject=Subject("document", name), currency="EUR", amount=amount)
                for name, amount in amounts.items()
            ]
            return chosen, ""

    office.handlers[Act.WAIVE.value] = Netting()  # type: ignore[assignment]
    proposed = office.start(kind=Act.WAIVE.value)
    assert proposed.state is BulkState.PROPOSED
    assert [one.amount for one in proposed.money] == [Decimal(0)]


class Dies(BaseException):
    """The process ends here."""


class Dying:
    """A handler that ends its process after it has acted and before the unit commits, or before it acts at all."""

    def __init__(self, inner: Any, when: str) -> None:
        self._inner, self._when, self.filters = inner, when, inner.filters
        self.before: Callable[..., Mapping[Subject, Problem]] = self._before

    def _before(self, **given: Any) -> Mapping[Subject, Problem]:
        if self._when == "before":
            raise Dies
        return {}

    def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
        self._inner.act(unit, tenant_id=tenant_id, subjects=subjects)
        raise Dies


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_worker_that_dies_in_a_batch_leaves_it_undone_and_another_does_it_once(office: Office, when: str) -> None:
    started = office.start()
    office.runner("first").turn()
    with pytest.raises(Dies):
        office.runner("second", handlers={RETRY: Dying(office.handlers[RETRY], when)}).turn()
    assert office.act(started.act_id).done == 5
    third = office.runner("third")
    assert third.turn() == 0, "the dead one's lease still runs"
    shift_database(office.world.database, 2 * third.lease)
    run(third)
    assert office.act(started.act_id).state is BulkState.DONE
    assert office.resent() == 12


def test_a_worker_whose_lease_was_taken_over_writes_nothing(office: Office) -> None:
    started = office.start()

    class Slow:
        """Another worker takes the lane over while this one prepares."""

        filters = frozenset[str]()

        def before(self, **given: Any) -> Mapping[Subject, Problem]:
            shift_database(office.world.database, 2 * late.lease)
            office.runner("other").turn()
            return {}

        def act(self, unit: Unit, /, **given: Any) -> Mapping[Subject, Problem]:
            raise AssertionError("it is not ours any more")

    late = office.runner("late", handlers={RETRY: Slow()})
    assert late.turn() == 0
    assert office.act(started.act_id).done == 5
    assert office.resent() == 5


def test_what_is_refused_beforehand_is_not_acted_on(office: Office) -> None:
    first = Subject("document", document_id("d1"))

    class Refusing(RetryOfCause):
        def before(self, *, subjects: Sequence[Subject], **given: Any) -> Mapping[Subject, Problem]:
            return {one: problem("erp.rejected", "not this one") for one in subjects if one == first}

        def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
            assert first not in subjects
            return super().act(unit, tenant_id=tenant_id, subjects=subjects)

    started = office.start()
    run(office.runner(handlers={RETRY: Refusing(retriers={"document": _retry}, beforehand={})}))
    ended = office.act(started.act_id)
    assert (ended.done, ended.refused) == (11, 1)


def test_one_record_our_own_code_fails_on_is_failed_and_the_others_go_on(office: Office) -> None:
    bad = Subject("document", document_id("d4"))

    class Choking(DocumentAct):
        def act(self, unit: Unit, /, *, tenant_id: str, subjects: Sequence[Subject]) -> Mapping[Subject, Problem]:
            if bad in subjects:
                raise ZeroDivisionError
            return super().act(unit, tenant_id=tenant_id, subjects=subjects)

    started = office.start("resend", state="rejected")
    run(office.runner(handlers={"resend": Choking(database=office.world.database, act=Act.RESEND)}))
    ended = office.act(started.act_id)
    assert (ended.state, ended.done, ended.failed) == (BulkState.DONE, 11, 1)


def test_another_tenant_neither_sees_nor_stops_it(office: Office) -> None:
    started = office.start()
    with office.world.database.read(tenants=["beta"]) as connection:
        assert queries.acts(connection, tenant_id="beta") == ()
        assert queries.items(connection, tenant_id="beta", act_id=started.act_id) == ()
    for stop in (office.bulk.abort, office.bulk.pause, office.bulk.resume):
        answer = stop(tenant_id="beta", act_id=started.act_id, **KIM)
        assert isinstance(answer, Problem)
        assert answer.code == "bulk.unknown"
    assert office.act(started.act_id).state is BulkState.RUNNING


def test_who_and_why_of_every_batch_and_the_set_itself_are_in_the_audit_chain(office: Office) -> None:
    started = office.start()
    run(office.runner())
    with office.world.database.read(tenants=["alpha"]) as connection:
        rows = connection.execute(
            text(
                "SELECT kind, actor, reason FROM unit WHERE tenant_id = 'alpha' AND actor = 'person:ann' ORDER BY position"
            )
        ).all()
        assert [row.kind for row in rows] == ["bulk_start", "retry", "retry", "retry"]
        assert all("the account is there" in row.reason for row in rows)
        assert verify_chain(connection, tenant_id="alpha").holds
        connection.execute(text("SELECT 1"))
    assert len(started.digest) == 64
