"""Planted defects in asking: look-up, comparison, periods, pages, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.farside import ChangedPage, ErpPeriod, ErpRecord, Health, Manifest, PrepareContext
from revline.core.problem import Problem
from tests.contract.conformance.wrapping import Mutant, Wrapped

Found = Mapping[str, tuple[ErpRecord, ...]]


class NeverDiffers(Wrapped):
    """Finds every record equal to every intent."""

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        return ()


class SidesIgnored(Wrapped):
    """Compares amounts and not the side they are on."""

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        names = self.inner.difference(document=document, record=record, context=context)
        return () if record.amount == document.amount else names


class NotesIgnored(Wrapped):
    """Compares lines only."""

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        names = self.inner.difference(document=document, record=record, context=context)
        return tuple(one for one in names if one.field != "memo")


class NeverMissing(Wrapped):
    """Shows another record where there is none."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        found = await self.inner.lookup(kind=kind, references=references, company=company)
        if isinstance(found, Problem):
            return found
        other = ErpRecord(record_kind="journals", erp_id="JE-000001", state="posted")
        return {reference: records or (other,) for reference, records in found.items()}


class FirstRecord(Wrapped):
    """Shows the first record of a reference only."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        found = await self.inner.lookup(kind=kind, references=references, company=company)
        return found if isinstance(found, Problem) else {name: records[:1] for name, records in found.items()}


class FirstHundred(Wrapped):
    """Asks for the first hundred references only."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        return await self.inner.lookup(kind=kind, references=references[:100], company=company)


class AnyCompany(Wrapped):
    """Looks up in the first company whatever is asked."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        return await self.inner.lookup(kind=kind, references=references, company="US01")


class Swallowing(Wrapped):
    """Finds nothing when nobody answers."""

    async def lookup(self, *, kind: DocumentKind, references: Sequence[str], company: str) -> Found | Problem:
        found = await self.inner.lookup(kind=kind, references=references, company=company)
        return {} if isinstance(found, Problem) else found


class Hasty(Wrapped):
    """Claims a shorter lag than the far side has."""

    @property
    def manifest(self) -> Manifest:
        return msgspec.structs.replace(self.inner.manifest, lookup_lag=timedelta(seconds=1))


class AlwaysWell(Wrapped):
    """Calls a system healthy that it can't reach."""

    async def health(self) -> Health:
        return msgspec.structs.replace(await self.inner.health(), reachable=True)


class NeverWell(Wrapped):
    """Calls a healthy system unreachable."""

    async def health(self) -> Health:
        return msgspec.structs.replace(await self.inner.health(), reachable=False)


class LastDay(Wrapped):
    """Lets periods end a month later than they do."""

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        found = await self.inner.periods(company=company)
        if isinstance(found, Problem):
            return found
        return [msgspec.structs.replace(one, start=one.start - timedelta(days=31)) for one in found]


class Pages(Wrapped):
    """A way of turning pages that is wrong."""

    async def page(self, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage:
        found = await self.inner.list_changed(record_kind=record_kind, company=company, cursor=cursor, limit=limit)
        assert not isinstance(found, Problem)
        return found


class LostPage(Pages):
    """Turns two pages at once."""

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        page = await self.page(record_kind, company, cursor, limit)
        return await self.page(record_kind, company, page.next_cursor, limit) if cursor and page.next_cursor else page


class RepeatedPage(Pages):
    """Shows the first record of a page again on the next one."""

    last: tuple[ErpRecord, ...] = ()

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        page = await self.page(record_kind, company, cursor, max(limit - 1, 1))
        before, self.last = self.last, page.records[-1:]
        return msgspec.structs.replace(page, records=(*before, *page.records)) if cursor else page


class SamePage(Pages):
    """Never gets beyond the second page."""

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        page = await self.page(record_kind, company, cursor, limit)
        return msgspec.structs.replace(page, next_cursor=cursor or page.next_cursor)


class FirstCompany(Pages):
    """Lists the first company whatever is asked."""

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        return await self.page(record_kind, "US01", cursor, limit)


MUTANTS = (
    Mutant(name="difference always empty", defect="finds every record equal to every intent",
           caught_by="a record is found and equals its intent", plant=NeverDiffers),
    Mutant(name="sides not compared", defect="compares amounts and not the side they are on",
           caught_by="a record is found and equals its intent", plant=SidesIgnored),
    Mutant(name="look-up invents", defect="shows another record where there is none",
           caught_by="what was never sent is not found", plant=NeverMissing),
    Mutant(name="double hidden", defect="shows the first of two records under a reference",
           caught_by="every record of a reference is shown", plant=FirstRecord, variant="lookup"),
    Mutant(name="look-up stops at a hundred", defect="asks for the first hundred references only",
           caught_by="many references are looked up at once", plant=FirstHundred),
    Mutant(name="edit not seen", defect="does not compare what a person may change",
           caught_by="an edited record differs", plant=NotesIgnored),
    Mutant(name="look-up ignores the company", defect="looks up in the first company whatever is asked",
           caught_by="look-up keeps to its company", plant=AnyCompany),
    Mutant(name="lag understated", defect="claims a shorter lag than the far side has",
           caught_by="look-up sees a commit after its lag", plant=Hasty),
    Mutant(name="swallowed error", defect="finds nothing when nobody answers",
           caught_by="a question that fails is a problem", plant=Swallowing),
    Mutant(name="health by hope", defect="calls a system healthy that it can't reach",
           caught_by="a question that fails is a problem", plant=AlwaysWell),
    Mutant(name="health never", defect="calls a healthy system unreachable", caught_by="health answers",
           plant=NeverWell),
    Mutant(name="periods that overlap", defect="lets a period begin before the last has ended",
           caught_by="periods are half-open and hold the day", plant=LastDay),
    Mutant(name="lost page", defect="turns two pages at once", caught_by="enumeration shows every record once",
           plant=LostPage),
    Mutant(name="page repeated", defect="shows a record again on the next page",
           caught_by="enumeration shows every record once", plant=RepeatedPage),
    Mutant(name="endless page", defect="never gets beyond the second page",
           caught_by="enumeration shows every record once", plant=SamePage),
    Mutant(name="lists the first company only", defect="lists the first company whatever is asked",
           caught_by="enumeration keeps to its company", plant=FirstCompany),
)  # fmt: skip
"""One defect or more for each case of asking."""
