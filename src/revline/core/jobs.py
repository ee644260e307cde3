"""Jobs of a far side: how accepted steps are asked for. Values and a port, no wire and no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from revline.core.farside import Outcome, PreparedStep
from revline.core.problem import Mender, Retryable, define


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted step to be asked for. handle: what `Accepted` named."""

    step: PreparedStep
    handle: str


@runtime_checkable
class Polling(Protocol):
    """A connector to a far side that runs jobs: what `Accepted` named can be asked for."""

    async def poll(self, *, polls: Sequence[Poll]) -> Sequence[Outcome]:
        """What became of accepted steps of one kind, one outcome each, in order: Accepted again while its job runs, Uncertain when
        the far side knows the job no more, or what its own call would have come to. A job is asked for once, however many it
        carries."""
        ...


define(
    code="erp.job_running",
    title="A job in the ERP has not ended",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Revline goes on asking. If it stays, look at the job in the ERP; its document is looked up whatever the job says.",
)
