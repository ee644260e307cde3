"""Conformance cases of sending: what every failure on the way must come to; nothing is booked twice or given up wrongly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Capability,
    Case,
    ConformanceError,
    Counting,
    NotTried,
    Run,
    Trouble,
    expect,
)
from revline.core.documents import DocumentKind
from revline.core.farside import (
    Idempotency,
    NotSent,
    Outcome,
    PeriodState,
    Placed,
    Posted,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.problem import Problem

Kind = DocumentKind
CALLS_OF_ONE_REFUSAL: Final = 8
"""Calls a connector may take to send one document that is refused: logging in, reading what a refusal means."""


async def _sent_twice(adapter: Adapter) -> None:
    """With a key or a unique reference, sending again gives the one record; other content is refused."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="twice")
    first = await run.posted(entry)
    second = await run.first_step(entry)
    expect(isinstance(second, Posted | Placed), f"sending again came to {second}")
    if isinstance(second, Posted | Placed):
        expect(second.record.erp_id == first.record.erp_id, "sending again made another record")
    third = await run.first_step(make.journal(world=run.world, name="twice", amount=make.NET + 1))
    expect(
        isinstance(third, Rejected) and third.problem.code == "erp.record_differs",
        f"other content under one reference came to {third}",
    )


async def _closed_period(adapter: Adapter) -> None:
    run = Run(adapter)
    await adapter.bring(Trouble.PERIOD_CLOSED)
    entry = make.journal(world=run.world, name="closed")
    outcome = await run.first_step(entry)
    periods = await adapter.connector.periods(company=run.world.mapping.company)
    await adapter.clear()
    code = outcome.problem.code if isinstance(outcome, Rejected) else ""
    expect(code == "erp.period_closed", f"a closed period came to {outcome}")
    if isinstance(periods, Problem):
        raise ConformanceError(f"periods came to {periods.code}")
    states = [period.state for period in periods if period.start <= run.world.day < period.end]
    expect(PeriodState.OPEN not in states, f"the closed period reads as {states}")


async def _took_effect(adapter: Adapter, trouble: Trouble) -> None:
    """Nobody could know: uncertain, with evidence, and after the effect bound look-up finds the one record."""
    run = Run(adapter)
    await adapter.bring(trouble)
    entry = make.journal(world=run.world, name=trouble.value)
    outcome = await run.first_step(entry)
    await adapter.clear()
    if not isinstance(outcome, Uncertain):
        raise ConformanceError(f"{trouble.value} came to {outcome}")
    expect(outcome.evidence and adapter.secret not in outcome.evidence, "no evidence, or a secret in it")
    held = await run.settled(entry)
    expect(len(held) == 1, f"after {trouble.value} look-up found {len(held)} records")
    expect(run.differences(entry, held[0]) == (), "what look-up found is not what was sent")


async def _answer_lost(adapter: Adapter) -> None:
    await _took_effect(adapter, Trouble.ANSWER_LOST)


async def _unreadable(adapter: Adapter) -> None:
    await _took_effect(adapter, Trouble.UNREADABLE)


async def _fail_after(adapter: Adapter) -> None:
    await _took_effect(adapter, Trouble.FAIL_AFTER)


async def _fail_before(adapter: Adapter) -> None:
    """A server error says nothing of the effect: not refused for good; look-up finds nothing, and sending again posts."""
    run = Run(adapter)
    await adapter.bring(Trouble.FAIL_BEFORE)
    entry = make.journal(world=run.world, name="failed")
    outcome = await run.first_step(entry)
    await adapter.clear()
    expect(isinstance(outcome, Uncertain | NotSent), f"a server error came to {outcome}")
    expect(await run.settled(entry) == (), "a server error before any effect left a record")
    await run.posted(entry)
    expect(len(await run.held(entry)) == 1, "sent again after a server error there is not one record")


async def _false_success(adapter: Adapter) -> None:
    """HTTP 200 is not success until the body says so."""
    run = Run(adapter)
    await adapter.bring(Trouble.FALSE_SUCCESS)
    entry = make.journal(world=run.world, name="false")
    outcome = await run.first_step(entry)
    await adapter.clear()
    expect(isinstance(outcome, Rejected | Uncertain), f"200 with a failure in its body came to {outcome}")
    expect(await run.settled(entry) == (), "a refused document left a record")


async def _certain_refusal(adapter: Adapter, trouble: Trouble, kind: type[Throttled | NotSent], code: str) -> None:
    run = Run(adapter)
    await adapter.bring(trouble)
    entry = make.journal(world=run.world, name=trouble.value)
    outcome = await run.first_step(entry)
    await adapter.clear()
    expect(isinstance(outcome, kind), f"{trouble.value} came to {outcome}")
    if isinstance(outcome, NotSent):
        expect(outcome.problem.code == code, f"{trouble.value} came to {outcome.problem.code}")
        expect(adapter.secret not in outcome.problem.detail, "the problem shows a secret")
    expect(await run.settled(entry) == (), f"{trouble.value} had an effect")


async def _throttled(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.THROTTLED, Throttled, "")


async def _busy(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.BUSY, NotSent, "erp.busy")


async def _unreachable(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.UNREACHABLE, NotSent, "erp.unreachable")


async def _credentials(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.CREDENTIALS_REFUSED, NotSent, "erp.credentials_refused")


async def _token_expired(adapter: Adapter) -> None:
    """A stale token is renewed and the document posted, or the document was certainly not sent; there is one record at the most."""
    run = Run(adapter)
    await adapter.bring(Trouble.TOKEN_EXPIRED)
    entry = make.journal(world=run.world, name="stale")
    outcome = await run.first_step(entry)
    await adapter.clear()
    if isinstance(outcome, NotSent):
        expect(outcome.problem.code == "erp.credentials_refused", f"a stale token came to {outcome.problem.code}")
        expect(await run.settled(entry) == (), "a call with a stale token had an effect")
    else:
        expect(isinstance(outcome, Posted | Placed), f"a stale token came to {outcome}")
        expect(len(await run.settled(entry)) == 1, "renewing the token did not leave one record")


async def _secret(adapter: Adapter) -> None:
    """What is kept of an answer shows no secret, even where the far side repeats it."""
    run = Run(adapter)
    await adapter.bring(Trouble.SECRET_ECHOED)
    outcome = await run.first_step(make.journal(world=run.world, name="echo"))
    await adapter.clear()
    expect(not isinstance(outcome, Posted | Placed), f"a refusal came to {outcome}")
    expect(adapter.secret not in repr(outcome), "the outcome shows a secret the far side repeated")


async def _refused_once(adapter: Adapter) -> None:
    """A business error is told, not tried again: it comes back at once, as a refusal, in few calls."""
    run = Run(adapter)
    if not isinstance(adapter, Counting):
        raise NotTried("the system does not count calls")
    step = run.unknown_account()
    before = adapter.calls
    outcome = await run.sent(step)
    spent = adapter.calls - before
    expect(isinstance(outcome, Rejected), f"an account that is not there came to {outcome}")
    expect(spent <= CALLS_OF_ONE_REFUSAL, f"one refused document took {spent} calls")


async def _refusal(adapter: Adapter) -> None:
    """A refusal carries the far side's words and leaves nothing."""
    run = Run(adapter)
    outcome = await run.sent(run.unknown_account())
    if not isinstance(outcome, Rejected):
        raise ConformanceError(f"an account that is not there came to {outcome}")
    expect(outcome.problem.detail or outcome.evidence, "a refusal says nothing of why")


def _outcomes(outcomes: list[Outcome]) -> str:
    return ", ".join(type(outcome).__name__ for outcome in outcomes)


async def _batch(adapter: Adapter) -> None:
    """Outcomes in the order of the steps; a bad document takes no good one with it."""
    run = Run(adapter)
    good = [make.journal(world=run.world, name=f"batch-{number}", amount=make.NET + number) for number in range(3)]
    steps = [run.prepared(document) for document in good]
    outcomes = list(await adapter.connector.submit(steps=[steps[0], run.unknown_account(), *steps[1:]]))
    expect(len(outcomes) == 4, f"{len(outcomes)} outcomes of four steps")
    bad = outcomes.pop(1)
    expect(isinstance(bad, Rejected), f"the bad document came to {bad}")
    for document, outcome in zip(good, outcomes, strict=True):
        if not isinstance(outcome, Posted | Placed):
            raise ConformanceError(f"a good document came to {outcome}")
        shown = outcome.record.external_reference
        expect(shown in {"", document.external_reference}, "a document was given another one's record")
        expect(run.differences(document, outcome.record) == (), "a document was given a record that differs from it")


async def _troubled_batch(adapter: Adapter, trouble: Trouble) -> list[Outcome]:
    """Three journals under a trouble; whoever is posted has its own record."""
    run = Run(adapter)
    documents = [make.journal(world=run.world, name=f"b{number}", amount=make.NET + number) for number in range(3)]
    steps = [run.prepared(document) for document in documents]
    await adapter.bring(trouble)
    outcomes = list(await adapter.connector.submit(steps=steps))
    await adapter.clear()
    expect(len(outcomes) == 3, f"{len(outcomes)} outcomes of three steps")
    for document, outcome in zip(documents, outcomes, strict=True):
        if isinstance(outcome, Posted | Placed):
            expect(run.differences(document, outcome.record) == (), f"{trouble.value}: another document's record")
        elif not isinstance(outcome, Uncertain):
            expect(await run.settled(document) == (), f"{trouble.value}: {outcome} of a document that is there")
    return outcomes


async def _short_answer(adapter: Adapter) -> None:
    outcomes = await _troubled_batch(adapter, Trouble.SHORT_ANSWER)
    expect(all(isinstance(each, Uncertain) for each in outcomes[1:]), f"missing results are {_outcomes(outcomes)}")


async def _partial(adapter: Adapter) -> None:
    outcomes = await _troubled_batch(adapter, Trouble.PARTIAL)
    expect(isinstance(outcomes[0], Posted | Placed), f"what took effect is {_outcomes(outcomes)}")
    left = outcomes[1:]
    expect(
        all(isinstance(each, NotSent | Throttled | Uncertain) for each in left), f"the rest is {_outcomes(outcomes)}"
    )


async def _reordered(adapter: Adapter) -> None:
    await _troubled_batch(adapter, Trouble.REORDERED)


def _sending(
    name: str,
    run: Callable[[Adapter], Awaitable[None]],
    *troubles: Trouble,
    searchable: bool = True,
    capability: Capability = Capability.SENDING,
    idempotency: tuple[Idempotency, ...] = (),
) -> Case:
    return Case(
        name=name,
        capability=capability,
        run=run,
        kinds=(Kind.JOURNAL,),
        troubles=troubles,
        searchable=searchable,
        idempotency=idempotency,
    )


CASES: Final = (
    _sending(
        "sending twice makes one record",
        _sent_twice,
        searchable=False,
        idempotency=(Idempotency.KEY, Idempotency.UNIQUE_REFERENCE),
    ),
    _sending("a refusal says why", _refusal, searchable=False),
    _sending("a business error is not tried again", _refused_once, searchable=False),
    _sending("a closed period is refused", _closed_period, Trouble.PERIOD_CLOSED, searchable=False),
    _sending("a lost answer is uncertain and found", _answer_lost, Trouble.ANSWER_LOST),
    _sending("an unreadable answer is uncertain", _unreadable, Trouble.UNREADABLE),
    _sending("an error after the effect is uncertain", _fail_after, Trouble.FAIL_AFTER),
    _sending("an error before the effect can be sent again", _fail_before, Trouble.FAIL_BEFORE),
    _sending("200 with a failure is no success", _false_success, Trouble.FALSE_SUCCESS),
    _sending("throttling has no effect", _throttled, Trouble.THROTTLED),
    _sending("busy has no effect", _busy, Trouble.BUSY),
    _sending("an unreachable system was not sent to", _unreachable, Trouble.UNREACHABLE),
    _sending("refused credentials have no effect", _credentials, Trouble.CREDENTIALS_REFUSED),
    _sending("a stale token is renewed or told", _token_expired, Trouble.TOKEN_EXPIRED),
    _sending("evidence shows no secret", _secret, Trouble.SECRET_ECHOED, searchable=False),
    _sending("a batch answers for each document", _batch, searchable=False, capability=Capability.BATCHES),
    _sending(
        "missing results of a batch are uncertain", _short_answer, Trouble.SHORT_ANSWER, capability=Capability.BATCHES
    ),
    _sending("a batch half done is told apart", _partial, Trouble.PARTIAL, capability=Capability.BATCHES),
    _sending("results in another order are not mixed up", _reordered, Trouble.REORDERED, capability=Capability.BATCHES),
)
