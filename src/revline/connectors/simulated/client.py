"""The simulated ERP's API as calls: addresses, authentication, decoding. Says what came of a call; knows no document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from revline.connectors.sdk.http import HttpCaller, failure_problem
from revline.connectors.sdk.wire import HttpAnswer
from revline.connectors.simulated import wire
from revline.connectors.simulated.manifest import ERRORS, POST
from revline.connectors.simulated.wire import Kind
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem

T = TypeVar("T")


def problem_of_error(error: wire.ErrorBody, *, mask: Callable[[str], str]) -> Problem:
    """The ERP's refusal as a problem, by the manifest's table. mask: takes secrets out of words that came from outside."""
    code = next((rule.problem_code for rule in ERRORS if rule.far_code == error.code), "erp.rejected")
    return problem(
        code, mask(f"{error.code}: {error.message}")[:600], field=mask(error.field)[:100] or mask(error.code)
    )


def error_of(answer: HttpAnswer) -> wire.ErrorBody | None:
    """The error in an answer, or None when there is none that can be read."""
    try:
        refusal: wire.ErrorAnswer = wire.decode(answer.body, wire.ErrorAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return refusal.error


class SimulatedErpClient:
    """The API of one simulated ERP."""

    def __init__(self, *, caller: HttpCaller) -> None:
        self.caller = caller

    async def send_documents(
        self, *, kind: Kind, step: str, bodies: Sequence[bytes], request_id: str
    ) -> HttpAnswer | NotSent | Uncertain:
        """Make or post documents of one kind: one by its own call, several as a batch."""
        if len(bodies) > 1:
            verb, content = ("post-batch" if step == POST else "batch"), b"[" + b",".join(bodies) + b"]"
            path = f"/v1/{kind.value}/{verb}"
        elif step == POST:
            record_id = wire.decode(bodies[0], wire.PostBody).id
            path, content = f"/v1/{kind.value}/{quote(record_id, safe='')}/post", b""
        else:
            path, content = f"/v1/{kind.value}", bodies[0]
        headers = {"x-request-id": request_id, "content-type": "application/json"}
        return await self.caller.send(method="POST", path=path, content=content, headers=headers)

    async def search(self, *, kind: Kind, company: str, references: Sequence[str]) -> wire.FoundAnswer | Problem:
        """Records of a kind by external reference, at most LOOKUP_MAX at once."""
        query = [("company", company), *(("external_reference", reference) for reference in references)]
        return await self._get(f"/v1/{kind.value}", wire.FoundAnswer, query)

    async def read(self, *, kind: Kind, record_id: str) -> wire.ItemAnswer | Problem:
        """One record with its ledger lines."""
        return await self._get(f"/v1/{kind.value}/{quote(record_id, safe='')}", wire.ItemAnswer)

    async def changes(self, *, kind: Kind, company: str, cursor: str, limit: int) -> wire.ChangesAnswer | Problem:
        """A page of records changed since a cursor."""
        query = [("company", company), ("cursor", cursor), ("limit", str(limit))]
        return await self._get(f"/v1/{kind.value}/changes", wire.ChangesAnswer, [pair for pair in query if pair[1]])

    async def periods(self, *, company: str) -> wire.PeriodsAnswer | Problem:
        """A company's periods."""
        return await self._get(f"/v1/companies/{quote(company, safe='')}/periods", wire.PeriodsAnswer)

    async def job(self, *, job: str) -> wire.JobState | Problem:
        """How a job stands."""
        return await self._get(f"/v1/jobs/{quote(job, safe='')}", wire.JobState)

    async def trial_balance(self, *, company: str) -> wire.TrialBalanceAnswer | Problem:
        """A company's trial balance."""
        return await self._get(f"/v1/companies/{quote(company, safe='')}/trial-balance", wire.TrialBalanceAnswer)

    async def health(self) -> wire.HealthAnswer | Problem:
        """Whether it is up."""
        return await self._get("/v1/health", wire.HealthAnswer)

    async def _get(self, path: str, kind: type[T], query: Sequence[tuple[str, str]] = ()) -> T | Problem:
        answer = await self.caller.send(method="GET", path=path, query=query)
        if isinstance(answer, NotSent | Uncertain):
            return failure_problem(answer)
        if answer.status == 429:
            return problem("erp.busy", "the ERP asks for fewer calls")
        if answer.status != 200:
            error = error_of(answer)
            if error is None:
                return problem("erp.unreachable", self.caller.mask(answer.evidence)[:500])
            return problem_of_error(error, mask=self.caller.mask)
        try:
            found: Any = wire.decode(answer.body, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return problem("erp.unreachable", self.caller.mask(f"unreadable answer: {answer.evidence}")[:500])
        return found  # type: ignore[no-any-return]
