"""What is held, what became of every event, what changed between versions, and the events behind a quantity."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.metering.answering import Answering
from revline.subledger.usage.metering.inspecting import Inspecting
from revline.subledger.usage.metering.kinds import Aggregation, Filter, Meter
from revline.subledger.usage.metering.lineage import lineage_page
from revline.subledger.usage.metering.subjects import KnownCustomer, SubjectDirectory, SubjectMapping
from revline.subledger.usage.metering.values import HeldReason, LineageDemand, MeterCatalogue
from revline.subledger.usage.versions import UsageVersion, Window
from tests.usage_metering import MARCH, TYPES, Event, Stored, customer, directory, duck_boxes

TOKENS = Meter(title="Tokens", event_type="calls", aggregation=Aggregation.SUM, field="tokens", group_by=("region",))
EUROPE = Meter(
    title="Europe",
    event_type="calls",
    aggregation=Aggregation.COUNT,
    filters=(Filter(field="region", values=("eu",)),),
)
CATALOGUE = MeterCatalogue(types=TYPES, meters={"tokens": TOKENS, "europe": EUROPE})
PEOPLE = directory(["anna", "ben"])
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def call(subject: str = "anna", *, at: datetime = NOON, tokens: str = "1", region: str = "eu", **more: object) -> Event:
    return Event(subject=subject, at=at, fields={"tokens": Decimal(tokens), "region": region}, **more)  # type: ignore[arg-type]


def void(identity: str) -> Event:
    return Event(subject="anna", at=NOON, type=VOID_TYPE, voids=identity)


def inspecting(stored: Stored, people: SubjectDirectory = PEOPLE) -> Inspecting:
    return Inspecting(reading=stored, catalogue=CATALOGUE, directory=people, boxes=duck_boxes)


def test_events_of_an_unknown_subject_are_held_until_somebody_says_whose_they_are(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([call("zoe"), call("zoe", at=NOON + timedelta(hours=1)), call("anna")])
    (held,) = inspecting(stored).held()
    assert (held.reason, held.subject, held.events) == (HeldReason.NO_CUSTOMER, "zoe", 2)
    assert (held.first_at, held.last_at) == (NOON, NOON + timedelta(hours=1))
    mapped = directory(["anna"], [SubjectMapping(subject="zoe", connection="", customer=customer("anna"))])
    assert inspecting(stored, mapped).held() == ()


def test_a_mapping_from_a_day_on_holds_only_what_was_before(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([call("zoe"), call("zoe", at=NOON + timedelta(days=2))])
    since = Window(start=NOON + timedelta(days=1), end=MARCH.end)
    mapped = directory(
        ["anna"], [SubjectMapping(subject="zoe", connection="", customer=customer("anna"), window=since)]
    )
    (held,) = inspecting(stored, mapped).held()
    assert (held.events, held.last_at) == (1, NOON)


def test_a_subject_that_two_customers_have_is_never_guessed(tmp_path: Path) -> None:
    two = [
        KnownCustomer(customer=customer("anna")),
        KnownCustomer(customer=type(customer("anna"))(connection="billing", kind="customer", outside_id="anna")),
    ]
    stored = Stored(tmp_path)
    stored.seal([call("anna")])
    (held,) = inspecting(stored, SubjectDirectory(customers=two)).held()
    assert held.reason is HeldReason.SEVERAL_CUSTOMERS


def test_events_whose_type_nobody_describes_are_held(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([Event(subject="anna", at=NOON, type="new.thing"), call(typed=False)])
    assert [(each.reason, each.type, each.events) for each in inspecting(stored).held()] == [
        (HeldReason.NO_TYPE, "api.call", 1),
        (HeldReason.NO_TYPE, "new.thing", 1),
    ]


kinds = st.sampled_from(["call", "nobody", "untyped", "strange", "void", "amend"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(st.tuples(kinds, st.integers(1, 20)), max_size=30), cut=st.integers(0, 30))
def test_every_accepted_event_is_counted_held_void_or_free_and_no_two_of_them(
    made: list[tuple[str, int]], cut: int, tmp_path: Path
) -> None:
    stored = Stored(tmp_path)
    events = [
        {
            "call": call(),
            "nobody": call("nobody"),
            "untyped": call(typed=False),
            "strange": Event(subject="anna", at=NOON, type="strange"),
            "void": void(f"e{target}"),
            "amend": call(voids=f"e{target}"),
        }[kind]
        for kind, target in made
    ]
    stored.seal(events[:cut])
    stored.keep(events[cut:])
    tally = inspecting(stored).tally(None)
    assert sum(each.accepted for each in tally) == len(events)
    for each in tally:
        assert each.accepted == each.counted + each.held + each.void + each.commands + each.not_billable
        assert min(each.counted, each.held, each.void) >= 0
    counted = Counter(
        event.type for _, event in stored.counted() if event.subject == "anna" and event.type in {"api.call"}
    )
    assert {each.type: each.counted for each in tally if each.counted} == dict(counted)


def test_between_two_versions_only_what_came_or_was_taken_back_is_touched(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([call("anna", id="a"), call("ben", id="b")])
    before = stored.version
    stored.seal([call("anna", at=NOON + timedelta(days=3)), void("b")])
    seen = {(each.subject, each.first_at) for each in inspecting(stored).came(since=before)}
    assert seen == {("anna", NOON + timedelta(days=3)), ("ben", NOON)}
    assert inspecting(stored).came(since=stored.version) == ()
    everything = {each.subject for each in inspecting(stored).came(since=UsageVersion(watermarks=()))}
    assert everything == {"anna", "ben"}


def test_events_of_subjects_that_found_their_customer_are_touched_day_by_day(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal(
        [call("zoe"), call("zoe", at=NOON + timedelta(hours=2)), call("zoe", at=NOON + timedelta(days=1)), call()]
    )
    found = sorted(inspecting(stored).of_subjects({"zoe"}), key=lambda each: each.first_at)
    assert [(each.first_at, each.last_at) for each in found] == [
        (NOON, NOON + timedelta(hours=2)),
        (NOON + timedelta(days=1), NOON + timedelta(days=1)),
    ]


def test_the_pages_of_a_lineage_hold_every_event_once_and_sum_to_the_quantity(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal(
        [call(tokens=f"{number}.5", at=NOON + timedelta(minutes=number % 7), id=f"x{number}") for number in range(50)],
        ordered=True,
    )
    stored.seal([call(tokens="1000", region="us"), call("ben", tokens="7"), void("x3")])
    stored.keep([call(tokens="0.001")])
    answering = Answering(reading=stored, catalogue=CATALOGUE, directory=PEOPLE, boxes=duck_boxes)
    demand = LineageDemand(
        meter="tokens", customer=customer("anna"), window=MARCH, group=("eu",), version=stored.version
    )
    lines, after = [], None
    while True:
        page = lineage_page(answering, demand, after=after, limit=9)
        lines += page.lines
        after = page.next
        if after is None:
            break
    assert len(lines) == len({(each.shard, each.sequence) for each in lines}) == page.events == 50
    assert sum(Decimal(each.value) for each in lines) == page.quantity
    assert sum(each.sequence for each in lines) == page.sequences
    assert [each.occurred_at for each in lines] == sorted(each.occurred_at for each in lines)
    assert "x3" not in {each.id for each in lines}
    assert str(tmp_path) not in page.statement


def test_a_quantity_without_events_has_a_lineage_of_nothing(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([call("ben")])
    answering = Answering(reading=stored, catalogue=CATALOGUE, directory=PEOPLE, boxes=duck_boxes)
    demand = LineageDemand(meter="europe", customer=customer("anna"), window=MARCH, version=stored.version)
    page = lineage_page(answering, demand, after=None, limit=10)
    assert (page.quantity, page.events, page.sequences, page.lines, page.next) == (Decimal(0), 0, 0, (), None)


def test_a_query_reads_nothing_outside_the_folders_it_was_opened_for(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([call()])
    (file,) = stored.files()
    secret = tmp_path.parent / "secret.csv"
    secret.write_text("a\n1\n")
    with duck_boxes(paths=[file.path]) as box:
        assert box.ask(f"SELECT count(*) AS n FROM read_parquet(['{file.path}'])", {})["n"].to_pylist() == [1]
    for sql in (
        f"SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        f"ATTACH '{tmp_path.parent / 'other.db'}'",
    ):
        with pytest.raises(duckdb.Error), duck_boxes(paths=[file.path]) as box:
            box.ask(sql, {})
