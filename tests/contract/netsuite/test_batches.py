"""Batches as asynchronous jobs: one request, one job, an answer for each document, and every way that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

from revline.connectors.netsuite.conformance import NetSuiteSystem
from revline.connectors.netsuite.simulator.faults import Fault
from revline.connectors.netsuite.simulator.setup import Settings
from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import Run, Trouble
from revline.core.farside import Accepted, Outcome, Posted, PreparedStep, Rejected
from revline.core.jobs import Poll


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def journals(system: NetSuiteSystem, count: int, *, name: str = "j") -> list[PreparedStep]:
    run = Run(system)
    return [run.prepared(make.journal(world=system.world, name=f"{name}{number}")) for number in range(count)]


def made(system: NetSuiteSystem) -> int:
    return sum(each.type == "journalEntry" for each in system.account.books.transactions.values())


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_two_hundred_documents_are_two_requests() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        outcomes = await system.connector.submit(steps=journals(system, 200))
        assert set(kinds(outcomes)) == {"Posted"}
        assert all(isinstance(each, Posted) and each.entries for each in outcomes)
        assert system.account.calls["journalEntry.batch"] == 2
        assert made(system) == 200
        assert sum(system.account.calls.values()) < 20

    run(work())


def test_the_same_batch_again_is_the_same_job_and_makes_nothing() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        steps = journals(system, 3)
        system.strike(Fault.ANSWER_LOST, operation="journalEntry.batch")
        assert kinds(await system.connector.submit(steps=steps)) == ["Uncertain"] * 3
        assert kinds(await system.connector.submit(steps=steps)) == ["Posted"] * 3
        assert (made(system), len(system.account.jobs.jobs)) == (3, 1)

    run(work())


def test_a_followed_jobs_refusals_are_sent_again_since_their_reason_may_be_mended() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        steps = journals(system, 3)
        system.period("closed")
        refused = await system.connector.submit(steps=steps)
        assert [each.problem.code for each in refused if isinstance(each, Rejected)] == ["erp.period_closed"] * 3
        system.period("open")
        assert kinds(await system.connector.submit(steps=steps)) == ["Posted"] * 3
        assert (made(system), len(system.account.jobs.jobs)) == (3, 1)

    run(work())


def test_a_period_that_closes_in_the_middle_stops_the_documents_after_it_only() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        system.strike(Fault.PERIOD_LOCK, operation="journalEntry.batch", keep=2)
        outcomes = await system.connector.submit(steps=journals(system, 4))
        assert kinds(outcomes) == ["Posted", "Posted", "Rejected", "Rejected"]
        assert {each.problem.code for each in outcomes if isinstance(each, Rejected)} == {"erp.period_closed"}
        assert made(system) == 2

    run(work())


def test_records_that_fail_inside_are_uncertain_each_by_itself() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        steps = journals(system, 3)
        system.strike(Fault.PARTIAL, operation="journalEntry.batch", keep=1)
        outcomes = await system.connector.submit(steps=steps)
        assert kinds(outcomes) == ["Posted", "Uncertain", "Uncertain"]
        again = await system.connector.submit(steps=steps[1:])
        assert kinds(again) == ["Posted", "Posted"]
        assert made(system) == 3

    run(work())


def test_a_job_that_takes_long_is_accepted_and_polled_to_its_end() -> None:
    async def work() -> None:
        system = NetSuiteSystem(account_settings=Settings(job_seconds=300))
        steps = journals(system, 3)
        accepted = await system.connector.submit(steps=steps)
        assert kinds(accepted) == ["Accepted"] * 3
        handles = [each.handle for each in accepted if isinstance(each, Accepted)]
        polls = [Poll(step=step, handle=handle) for step, handle in zip(steps, handles, strict=True)]
        assert await system.connector.poll(polls=polls) == accepted
        await system.pass_time(timedelta(seconds=300))
        asked = system.account.calls["job.read"]
        found = await system.connector.poll(polls=polls)
        assert system.account.calls["job.read"] == asked + 1, "a job is asked for once, whatever it carries"
        assert kinds(found) == ["Posted"] * 3
        references = [each.record.external_reference for each in found if isinstance(each, Posted)]
        assert references == [step.external_reference for step in steps]

    run(work())


def test_a_refused_record_of_a_long_job_says_why() -> None:
    async def work() -> None:
        system = NetSuiteSystem(account_settings=Settings(job_seconds=300))
        steps = journals(system, 2)
        accepted = await system.connector.submit(steps=steps)
        system.period("closed")
        await system.pass_time(timedelta(seconds=300))
        handle = accepted[1].handle if isinstance(accepted[1], Accepted) else ""
        (found,) = await system.connector.poll(polls=[Poll(step=steps[1], handle=handle)])
        assert isinstance(found, Rejected)
        assert found.problem.code == "erp.period_closed"

    run(work())


def test_a_job_that_never_ends_stays_accepted_and_a_silent_one_is_found_by_its_records() -> None:
    async def work() -> None:
        for fault, there in ((Fault.JOB_HANGS, 0), (Fault.JOB_SILENT, 2)):
            system = NetSuiteSystem()
            system.strike(fault, operation="journalEntry.batch")
            steps = journals(system, 2)
            accepted = await system.connector.submit(steps=steps)
            assert kinds(accepted) == ["Accepted", "Accepted"]
            await system.pass_time(timedelta(hours=1))
            handle = accepted[0].handle if isinstance(accepted[0], Accepted) else ""
            assert kinds(await system.connector.poll(polls=[Poll(step=steps[0], handle=handle)])) == ["Accepted"]
            run = Run(system)
            held = [await run.found(make.journal(world=system.world, name=f"j{number}")) for number in range(2)]
            assert sum(len(each) for each in held) == there

    run(work())


def test_a_job_that_is_gone_leaves_its_documents_uncertain() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        (step,) = journals(system, 1)
        assert kinds(await system.connector.poll(polls=[Poll(step=step, handle="999/task/1")])) == ["Uncertain"]
        assert kinds(await system.connector.poll(polls=[Poll(step=step, handle="../secrets")])) == ["Uncertain"]

    run(work())


def test_a_duplicate_within_a_batch_is_one_record() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        (step, other) = journals(system, 2)
        outcomes = await system.connector.submit(steps=[step, other, step])
        assert kinds(outcomes) == ["Posted"] * 3
        assert made(system) == 2

    run(work())


def test_a_batch_that_look_up_does_not_show_yet_is_believed_by_its_tasks() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        system.strike(Fault.LOOKUP_LAG, operation="suiteql.query", count=None, seconds=60)
        outcomes = await system.connector.submit(steps=journals(system, 2))
        assert kinds(outcomes) == ["Posted", "Posted"]
        assert all(isinstance(each, Posted) and each.entries is None for each in outcomes)
        assert made(system) == 2

    run(work())


def test_a_batch_that_is_refused_as_a_whole_takes_no_good_document_with_it() -> None:
    async def work() -> None:
        system = NetSuiteSystem()
        steps = journals(system, 30)
        system.way.trouble = Trouble.SECRET_ECHOED
        outcomes = await system.connector.submit(steps=steps)
        assert kinds(outcomes) == ["Posted"] * 20 + ["NotSent"] * 10
        assert kinds(await system.connector.submit(steps=steps)) == ["Posted"] * 30
        assert made(system) == 30

    run(work())
