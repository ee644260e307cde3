"""What people do all day, in a browser: find an invoice by its ERP number, see why one is not posted, mend and replay, stay inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ui.world import World

Log = Callable[[str], Any]
Picture = Callable[[str], None]


def one(world: World, sql: str, **values: object) -> str:
    from sqlalchemy import text  # noqa: PLC0415

    with world.harness.database.read(tenants=["birch"]) as connection:
        return str(connection.execute(text(sql), {"tenant": "birch", **values}).scalar_one())


def test_the_pages_of_work_open(log_in: Log, picture: Picture, world: World) -> None:
    page = log_in("finn@example.com")
    page.on("response", lambda r: print("RESP", r.status, r.url) if r.status >= 400 else None)
    for name in ("cases", "deliveries", "corrections", "trace"):
        answer = page.goto(f"/t/birch/{name}")
        assert answer.status == 200, page.inner_text("main")
        picture(name)
    cause = one(world, "SELECT cause_id FROM cause WHERE tenant_id = :tenant AND code = 'mapping.missing'")
    assert page.goto(f"/t/birch/causes/{cause}").status == 200
    picture("cause")
    case = one(
        world, "SELECT case_id FROM exception_case WHERE tenant_id = :tenant AND cause_id = :cause LIMIT 1", cause=cause
    )
    assert page.goto(f"/t/birch/cases/{case}").status == 200
    picture("case")
    page.get_by_role("link", name="Mend a copy").first.click()
    picture("mend")
    document = one(
        world,
        "SELECT document_id FROM document_state WHERE tenant_id = :tenant AND state = 'posted' AND kind = 'invoice' LIMIT 1",
    )
    assert page.goto(f"/t/birch/deliveries/{document}").status == 200
    picture("delivery")
    number = one(
        world, "SELECT number FROM erp_record WHERE tenant_id = :tenant AND document_id = :document", document=document
    )
    for shape in ("picture", "timeline", "json"):
        assert page.goto(f"/t/birch/trace?id={number}&as={shape}").status == 200
        picture(f"trace-{shape}")
