"""Which act of a person a document is open to, by where it stands. Pure; the acts themselves are `acts.py` and derive's.

| state | resend | reprocess | skip | replay | waive |
| --- | --- | --- | --- | --- | --- |
| prepared, ready, held | yes | yes | yes | no: on its lane | yes |
| rejected | yes | yes | yes | no: on its lane | yes |
| rejected, set aside | no: replay it | yes, and it is back on its lane | no: it is | yes | yes |
| sending, accepted | no: in flight | no: in flight | no: in flight | no: on its lane | no: in flight |
| uncertain | yes, looked up first | no: in flight | no: in flight | no: on its lane | yes |
| placed | yes | no: in flight | no: in flight | no: on its lane | yes |
| posted | no: finished | yes: a reversal and a new one | no | no | no |
| waived | no: finished | no: finished | no | yes | no |
| superseded, reversed | no: finished | no: finished | no | no | no |
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from revline.core.documents import FINISHED_STATES, DocumentState
from revline.core.problem import Mender, Problem, Retryable, define, problem


class Act(StrEnum):
    """What a person may do with a document. Each is a unit of work with actor and reason.

    resend: send the same revision again. reprocess: derive it again under the present configuration. skip: set it aside, so that
    its lane goes on without it while its case stays open. replay: put one that was set aside or waived back on its lane.
    waive: it needs no effect, or has it already; it is finished.
    """

    RESEND = "resend"
    REPROCESS = "reprocess"
    SKIP = "skip"
    REPLAY = "replay"
    WAIVE = "waive"


STANDING: Final = frozenset({DocumentState.PREPARED, DocumentState.READY, DocumentState.HELD, DocumentState.REJECTED})
"""Nothing of the document, or of its next step, is under way."""

OPEN_TO: Final[Mapping[Act, frozenset[DocumentState]]] = {
    Act.RESEND: STANDING | {DocumentState.UNCERTAIN, DocumentState.PLACED},
    Act.REPROCESS: STANDING | {DocumentState.POSTED},
    Act.SKIP: STANDING,
    Act.REPLAY: frozenset({DocumentState.REJECTED, DocumentState.WAIVED}),
    Act.WAIVE: STANDING | {DocumentState.UNCERTAIN, DocumentState.PLACED},
}
"""States in which an act may be asked for at all; `refusal` decides, since a rejected document is on its lane or set aside."""


def refusal(*, act: Act, state: DocumentState, set_aside: bool) -> Problem | None:
    """Why a document is not open to an act, None when it is."""
    if act is Act.REPLAY:
        open_to_it = set_aside or state is DocumentState.WAIVED
        return None if open_to_it else problem("document.not_set_aside", f"the document is {state}, and on its way")
    if set_aside and act in {Act.RESEND, Act.SKIP}:
        return problem("document.set_aside", "a person set the document aside, so it is on no lane")
    if state in OPEN_TO[act]:
        return None
    code = "document.finished" if state in FINISHED_STATES else "document.in_flight"
    return problem(code, f"the document is {state}")


define(
    code="document.set_aside",
    title="The document was set aside",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Replay it: it is put back on its lane and sent. Or waive it when it needs no effect.",
)
define(
    code="document.not_set_aside",
    title="The document was neither set aside nor waived",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="Nothing to put back: resend a document that stands still on its lane; a posted one is corrected by reprocessing.",
)
define(
    code="document.lane_busy",
    title="The lane's head is on its way",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Replay it once the head is settled, or put it at the end of the lane.",
)
define(
    code="document.needed_behind",
    title="What is behind it on its lane waits for it",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Replay it at its own place; at the end it would wait for what waits for it.",
)
define(
    code="document.undone",
    title="Another document undoes this one already",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="Leave it waived: its event was reversed, and what undoes it is on the same lane.",
)
define(
    code="document.skipped",
    title="A document was set aside by a person",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Replay the document when it may go on, or waive it with a reason.",
)
