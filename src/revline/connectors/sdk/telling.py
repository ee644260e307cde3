"""What far sides that are only told things share: those that take documents of kind feedback and keep no books.

Their writes are in doubt until they are repeated, so nothing is looked up; no company, period or drift is theirs. Knows no system.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind, FeedbackContent
from revline.core.farside import ChangedPage, ErpPeriod, ErpRecord, Manifest, Outcome, PrepareContext, PreparedStep
from revline.core.problem import Problem, problem


class ToldFarSide(ABC):
    """The part of core.farside.ErpConnector in which every such far side is alike. Steps go one by one, by `_told`."""

    def __init__(self, *, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def manifest(self) -> Manifest:
        """What this system can do."""
        return self._manifest

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        """Send the steps one after another; one outcome each, in order."""
        return [await self._told(step) for step in steps]

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        """Nothing is found by a reference of ours: what is in doubt is told again under its key."""
        del kind, company
        return dict.fromkeys(references, ())

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        """Nothing here drifts from books: what others write beside our fields is theirs."""
        del record_kind, company, cursor, limit
        return ChangedPage(records=())

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        """No books, no periods."""
        del company
        return ()

    @abstractmethod
    async def _told(self, step: PreparedStep) -> Outcome: ...


class TellingFields(ToldFarSide):
    """A far side whose objects are told fields: every field is text, an empty text is a field that is not there."""

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        """The fields that hold something else than they were told."""
        del context
        content, held = document.content, dict(record.content)
        if not isinstance(content, FeedbackContent):
            return (FieldDifference(field="kind", ours=str(document.kind)),)
        return tuple(
            FieldDifference(field=name, ours=value, theirs=held.get(name, ""))
            for name, value in content.fields
            if held.get(name, "") != value
        )

    def _content(self, *, document: Document, step: str, wanted: str) -> FeedbackContent | Problem:
        """The fields to be told, or why this document's step tells none. wanted: the only step there is."""
        content = document.content
        if step != wanted or not isinstance(content, FeedbackContent) or content.message_type:
            detail = f"no step {step} of {document.kind.value}"
            return problem("erp.kind_unsupported", detail, field=document.kind.value)
        return content
