"""Credits from the grant to the books: bought, drawn, expired, refunded, corrected, each through the fact log."""

from __future__ import annotations

from decimal import Decimal

from revline.core.canonical import CreditRefund
from revline.subledger.usage.credits import record
from revline.subledger.usage.credits.running import retry_handler
from revline.subledger.usage.credits.service import Wanted
from tests.integration.usage.credits.world import CONNECTION, CUSTOMER, TENANT, Shop, at, refused, sums


def test_credits_of_1000_for_800_are_bought_drawn_and_expire_in_the_books(shop: Shop) -> None:
    shop.grant("g")
    shop.charge("calls", 1, "300.00")
    shop.work()
    assert shop.ledger() == [("2026-01-01", "g", "granted", "1000.00", "800.00")], "January is not over"
    assert shop.books() == {"cash": "800.00", "deferred_revenue": "-800.00"}
    shop.go("2026-02-02")
    shop.work()
    assert shop.ledger()[1:] == [("2026-01-31", "g", "drawn", "300.00", "240.00")]
    assert shop.books() == {"cash": "800.00", "deferred_revenue": "-560.00", "revenue_usage": "-240.00"}
    shop.go("2026-04-01")
    shop.work()
    assert shop.ledger()[2:] == [("2026-03-31", "g", "expired", "700.00", "560.00")]
    assert shop.books() == {"breakage_revenue": "-560.00", "cash": "800.00", "revenue_usage": "-240.00"}
    dates = shop.rows("SELECT DISTINCT accounting_date FROM journal WHERE tenant_id = :tenant ORDER BY accounting_date")
    assert [str(day) for (day,) in dates] == ["2026-01-01", "2026-01-31", "2026-03-31"]


def test_late_use_changes_an_earlier_draw_by_a_difference_and_edits_nothing(shop: Shop) -> None:
    shop.grant("g")
    shop.charge("calls", 1, "300.00")
    shop.go("2026-02-02")
    shop.work()
    before = shop.rows("SELECT entry_id, account, amount FROM credit_posting WHERE tenant_id = :tenant ORDER BY 1, 2")
    shop.charge("calls", 1, "310.00")
    ask(shop)
    shop.work()
    shop.charge("calls", 1, "250.00")
    ask(shop)
    shop.work()
    assert shop.ledger()[1:] == [
        ("2026-01-31", "g", "drawn", "300.00", "240.00"),
        ("2026-01-31", "g", "drawn", "10.00", "8.00"),
        ("2026-01-31", "g", "drawn", "-60.00", "-48.00"),
    ]
    assert shop.books() == {"cash": "800.00", "deferred_revenue": "-600.00", "revenue_usage": "-200.00"}
    after = shop.rows("SELECT entry_id, account, amount FROM credit_posting WHERE tenant_id = :tenant ORDER BY 1, 2")
    assert set(before) <= set(after)
    assert sums(
        shop.rows(
            "SELECT DISTINCT sum(amount), sum(cost) FROM credit_posting WHERE tenant_id = :tenant GROUP BY entry_id"
        )
    ) == [("0.000000000000", "0.000000000000")]


def test_settling_again_posts_nothing(shop: Shop) -> None:
    shop.grant("g")
    shop.charge("calls", 1, "300.00")
    shop.go("2026-02-02")
    shop.work()
    facts = shop.rows("SELECT count(*) FROM fact WHERE tenant_id = :tenant")
    ask(shop)
    assert shop.work() == 1
    assert shop.rows("SELECT count(*) FROM fact WHERE tenant_id = :tenant") == facts


def test_unused_credits_are_given_back_with_what_they_had_cost(shop: Shop) -> None:
    shop.grant("g")
    shop.charge("calls", 1, "300.00")
    shop.go("2026-02-02")
    shop.work()
    say = {"tenant_id": TENANT, "connection": CONNECTION, "actor": "person:ada", "reason": "the customer leaves"}
    too_much = shop.desk.refund(outside_id="g", amount=Decimal("700.01"), **say)
    assert refused(too_much) == "credits.amount_unavailable"
    found = shop.desk.refund(outside_id="g", amount=None, method="bank_transfer", **say)
    assert isinstance(found, CreditRefund)
    assert found.amount == Decimal("700.00")
    shop.work()
    assert shop.ledger()[-1] == ("2026-02-02", "g", "taken_back", "700.00", "560.00")
    assert shop.books() == {"cash": "240.00", "revenue_usage": "-240.00"}
    shop.charge("calls", 1, "400.00")
    ask(shop)
    shop.work()
    assert shop.books() == {"cash": "240.00", "revenue_usage": "-240.00"}, "what was given back is not drawn"


def test_a_grant_that_was_a_mistake_leaves_nothing_in_the_books(shop: Shop) -> None:
    shop.grant("g")
    shop.charge("calls", 1, "300.00")
    shop.go("2026-02-02")
    shop.work()
    shop.desk.void(tenant_id=TENANT, connection=CONNECTION, outside_id="g", actor="person:ada", reason="wrong customer")
    shop.work()
    assert shop.books() == {}
    assert [row[2:] for row in shop.ledger()[2:]] == [
        ("drawn", "-300.00", "-240.00"),
        ("granted", "-1000.00", "-800.00"),
    ]


def test_a_grant_is_ended_early(shop: Shop) -> None:
    shop.grant("g")
    shop.work()
    shop.go("2026-01-20")
    shop.desk.end(
        tenant_id=TENANT,
        connection=CONNECTION,
        outside_id="g",
        at=at("2026-01-25"),
        actor="person:ada",
        reason="agreed",
    )
    shop.work()
    shop.go("2026-01-25")
    shop.work()
    assert shop.ledger()[-1] == ("2026-01-24", "g", "expired", "1000.00", "800.00")


def test_the_same_grant_twice_is_one_and_another_under_its_id_is_refused(shop: Shop) -> None:
    first = shop.grant("g")
    shop.work()
    assert shop.grant("g") == first
    shop.work()
    assert len(shop.ledger()) == 1
    other = Wanted(customer=CUSTOMER, plan="prepaid", outside_id="g", amount=Decimal("5.00"), method="bank_transfer")
    found = shop.desk.grant(tenant_id=TENANT, wanted=other, actor="person:ada", reason="again")
    assert refused(found) == "credits.grant_exists"


def test_credits_that_run_low_are_topped_up_by_a_fact(shop: Shop) -> None:
    shop.grant("g", plan="auto")
    shop.charge("calls", 1, "80.00")
    shop.charge("calls", 2, "150.00")
    shop.go("2026-02-01")
    shop.work()
    ledger = shop.ledger()
    assert [row[2:] for row in ledger] == [
        ("granted", "100.00", "100.00"),
        ("drawn", "80.00", "80.00"),
        ("granted", "200.00", "180.00"),
    ]
    shop.go("2026-03-01")
    shop.work()
    assert [row[2:] for row in shop.ledger()[3:]] == [
        ("drawn", "20.00", "20.00"),
        ("drawn", "130.00", "117.00"),
    ]
    assert shop.work() == 0
    assert len(shop.desk.grants(tenant_id=TENANT, customer=CUSTOMER)) == 2


def test_grants_and_refunds_come_from_a_source_in_any_order(shop: Shop) -> None:
    shop.go("2026-01-20")
    shop.tell(
        "credit_refund",
        {
            "outside_id": "r",
            "customer": "cus_1",
            "grant": "g",
            "amount": "40.00",
            "refunded_at": at("2026-01-10").isoformat(),
        },
    )
    shop.work()
    assert shop.rows("SELECT code FROM cause WHERE tenant_id = :tenant") == [("credits.grant_unknown",)]
    shop.tell(
        "credit_grant",
        {
            "outside_id": "g",
            "customer": "cus_1",
            "currency": "USD",
            "amount": "100.00",
            "cost": "100.00",
            "granted_at": at("2026-01-05").isoformat(),
        },
    )
    shop.work()
    assert shop.ledger() == [
        ("2026-01-05", "g", "granted", "100.00", "100.00"),
        ("2026-01-10", "g", "taken_back", "40.00", "40.00"),
    ]
    open_cases = shop.rows("SELECT count(*) FROM exception_case WHERE tenant_id = :tenant AND state = 'open'")
    assert open_cases == [(0,)]


def test_a_grant_that_is_given_to_another_customer_leaves_the_first(shop: Shop) -> None:
    shop.tell("customer", {"outside_id": "cus_2", "name": "Birch"})
    grant = {
        "outside_id": "g",
        "customer": "cus_1",
        "currency": "USD",
        "amount": "100.00",
        "cost": "100.00",
        "granted_at": at("2026-01-01").isoformat(),
    }
    shop.tell("credit_grant", grant)
    shop.work()
    shop.go("2026-01-03")
    shop.tell("credit_grant", {**grant, "customer": "cus_2"})
    shop.work()
    assert [row[2:] for row in shop.ledger()] == [("granted", "100.00", "100.00"), ("granted", "-100.00", "-100.00")]
    assert shop.books() == {"cash": "100.00", "deferred_revenue": "-100.00"}


def ask(shop: Shop) -> None:
    """What charging does when it revised a line."""
    with shop.database.unit(
        tenants=[TENANT], kind="charge", actor="test", reason="a line was revised", recorded_at=shop.harness.clock.now()
    ) as unit:
        record.ask(unit, tenant_id=TENANT, customers=[CUSTOMER])


def test_what_keeps_a_customer_from_being_settled_is_its_case_and_a_retry_goes_on(shop: Shop) -> None:
    shop.grant("g")
    shop.harness.derive_all()
    place = shop.harness.folder / TENANT / "20-connections.yaml"
    said = place.read_text(encoding="utf-8")
    start = said.index("---\napiVersion: revline/v1\nkind: Connection\nmetadata: {name: billing")
    place.write_text(said[:start], encoding="utf-8")
    shop.harness.apply()
    assert shop.keeper.turn() == 1
    assert shop.ledger() == []
    codes = shop.rows("SELECT code FROM cause WHERE tenant_id = :tenant")
    assert codes == [("connection.unknown",)]
    place.write_text(said, encoding="utf-8")
    shop.harness.apply()
    retry = retry_handler(database=shop.database, clock=shop.harness.clock)
    (subject,) = shop.rows("SELECT subject_id FROM exception_case WHERE tenant_id = :tenant")[0]
    assert retry(tenant_id=TENANT, subject_ids=[subject], actor="person:ada", reason="it is there again") == 1
    shop.work()
    assert len(shop.ledger()) == 1
    open_cases = shop.rows("SELECT count(*) FROM exception_case WHERE tenant_id = :tenant AND state = 'open'")
    assert open_cases == [(0,)]
