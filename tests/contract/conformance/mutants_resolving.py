"""Planted defects in finding out what became of an unanswered step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.farside import ChangedPage, ErpRecord, PrepareContext
from revline.core.problem import Problem
from tests.contract.conformance.wrapping import Mutant, Wrapped

Found = Mapping[str, tuple[ErpRecord, ...]]


class BlindToDeposits(Wrapped):
    """Looks deposits up where there are none."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        found = await self.inner.lookup(kind=kind, references=references, company=company)
        if kind is not DocumentKind.DEPOSIT or isinstance(found, Problem):
            return found
        return dict.fromkeys(references, ())


class DraftsArePosted(Wrapped):
    """Shows every record it finds as posted."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        found = await self.inner.lookup(kind=kind, references=references, company=company)
        if isinstance(found, Problem):
            return found
        return {
            name: tuple(msgspec.structs.replace(one, state="posted") for one in records)
            for name, records in found.items()
        }


class TwinsListed(Wrapped):
    """Lists a twin of each invoice, as if what an invoice brings along carried its reference."""

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        page = await self.inner.list_changed(record_kind=record_kind, company=company, cursor=cursor, limit=limit)
        if isinstance(page, Problem) or record_kind != "invoices":
            return page
        twins = tuple(msgspec.structs.replace(one, erp_id=f"{one.erp_id}-twin") for one in page.records)
        return msgspec.structs.replace(page, records=page.records + twins)


class NamesOnly(Wrapped):
    """Says which fields differ and not how."""

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        found = self.inner.difference(document=document, record=record, context=context)
        return tuple(FieldDifference(field=one.field) for one in found)


MUTANTS = (
    Mutant(name="one kind not found", defect="finds no deposit by its reference",
           caught_by="a lost answer of every kind comes to one record", plant=BlindToDeposits),
    Mutant(name="twins listed", defect="lists a second record under the reference of each invoice",
           caught_by="a listing shows each reference once", plant=TwinsListed),
    Mutant(name="draft taken for posted", defect="shows a draft as posted",
           caught_by="a draft whose answer was lost is found and posted", plant=DraftsArePosted, variant="two steps"),
    Mutant(name="names without values", defect="names the fields that differ and shows no value",
           caught_by="a difference names its fields with both values", plant=NamesOnly),
)  # fmt: skip
"""A defect for each case of finding out."""
