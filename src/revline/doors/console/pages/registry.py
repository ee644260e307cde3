"""Every page of the console, in the order of the navigation. A new module of pages is added here, and nowhere else."""

from __future__ import annotations

from typing import Final

from revline.doors.console.pages import (
    acts,
    audit,
    billed_usage,
    capacity,
    cases,
    connections,
    contracts,
    corrections,
    deliveries,
    holding,
    metered,
    overview,
    people,
    person,
    prepaid,
    problems,
    trace,
    webhooks,
)
from revline.doors.console.values import Page

PAGES: Final[tuple[Page, ...]] = (
    *overview.PAGES,
    *cases.PAGES,
    *holding.PAGES,
    *deliveries.PAGES,
    *acts.PAGES,
    *metered.PAGES,
    *prepaid.PAGES,
    *billed_usage.PAGES,
    *trace.PAGES,
    *corrections.PAGES,
    *webhooks.PAGES,
    *capacity.PAGES,
    *connections.PAGES,
    *contracts.PAGES,
    *audit.PAGES,
    *people.PAGES,
    *person.PAGES,
    *problems.PAGES,
)
