"""The tenancy lint: what forgets the tenant is found, what names it or says why not passes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tools.lint_tenancy import declared_tables, lint, lint_source, main

TABLES = dedent(
    """
    fact = tenant_table("fact", Column("id", Text))
    edge: Final[Table] = tenant_table("edge_of_lineage", Column("id", Text))
    lane = control_table("lane", Column("id", Text))
    """
)
HEAD = "from revline.x.tables import fact, edge, lane\nfrom revline.x import tables\n"


def found(body: str, place: str = "src/revline/x/queries.py") -> list[str]:
    tables = declared_tables({Path("src/revline/x/tables.py"): TABLES})
    return [finding.message for finding in lint_source(Path(place), HEAD + dedent(body), tables)]


@pytest.mark.parametrize(
    "body",
    [
        "s = select(fact)",
        "s = select(fact.c.id).where(fact.c.id == 'x')",
        "s = select(tables.fact)",
        "s = sa.select(func.count()).select_from(fact)",
        "s = update(fact).where(fact.c.id == 'x').values(tenant_id='a')",
        "s = delete(fact)",
        "s = fact.delete().where(fact.c.id == 'x')",
        "s = select(fact, edge).join(edge, edge.c.id == fact.c.id).where(fact.c.tenant_id == 'a')",
        "other = fact.alias()\ns = select(other).where(fact.c.tenant_id == 'a')",
        "def f():\n    s = select(fact)\n    return s.where(fact.c.id == 'x')",
        "def f(c):\n    c.execute(select(fact))\n    return fact.c.tenant_id",
        "s = text('SELECT id FROM fact WHERE id = :id')",
        "s = text('DELETE FROM edge_of_lineage')",
        "s = 'UPDATE fact SET state = 1 WHERE id = %s'",
        "s = f'SELECT id FROM fact JOIN edge_of_lineage e ON e.id = fact.id WHERE fact.tenant_id = {t}'",
    ],
)
def test_a_statement_that_forgets_the_tenant_is_found(body: str) -> None:
    assert len([message for message in found(body) if "tenant_id" in message]) == 1


@pytest.mark.parametrize(
    "body",
    [
        "s = select(fact).where(fact.c.tenant_id == 'a')",
        "s = select(tables.fact.c.id).where(tables.fact.c.tenant_id == 'a')",
        "s = select(fact).where(fact.c['tenant_id'] == 'a')",
        "s = select(fact).join(edge, edge.c.tenant_id == fact.c.tenant_id).where(fact.c.tenant_id == 'a')",
        "def f():\n    s = select(fact)\n    return s.where(fact.c.tenant_id == 'x')",
        "def f():\n    of = fact.c\n    return select(fact).where(of.tenant_id == 'x')",
        "def f():\n    j = fact.join(edge, fact.c.tenant_id == edge.c.tenant_id)\n    return select(fact, edge).select_from(j)",
        "s = select(lane)",
        "s = text('SELECT id FROM lane')",
        "s = insert(fact).values(id='x')",
        "s = text('INSERT INTO fact SELECT %s')",
        "s = text('SELECT id FROM fact WHERE tenant_id = :t')",
        "s = select(fact)  # every-tenant: a count for the units' own check",
        "# every-tenant: a count for the units' own check\ns = select(fact)",
        "s = 'Update the fact, then select'",
        "s = exists",
    ],
)
def test_a_statement_that_names_the_tenant_or_says_why_not_passes(body: str) -> None:
    assert found(body) == []


def test_an_escape_needs_a_reason() -> None:
    assert len(found("s = select(fact)  # every-tenant:")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "s = select(func.now())",
        "s = func.gen_random_uuid()",
        "s = text('SELECT now()')",
        "s = text('now()')",
        "s = 'SELECT id FROM lane ORDER BY random() LIMIT 1'",
        "s = 'SELECT current_timestamp FROM lane'",
        "s = 'SELECT clock_timestamp() FROM lane'",
    ],
)
def test_sql_that_decides_by_itself_is_found(body: str) -> None:
    assert [message for message in found(body) if "SQL calls" in message]


def test_the_setting_that_names_tenants_is_the_stores_alone() -> None:
    body = """s = text("SELECT set_config('revline.tenants', 'a', true)")"""
    assert found(body) == ["only the store names tenants"]
    assert found(body, "src/revline/platform/store/engine.py") == []


def test_the_clock_is_read_in_one_place(tmp_path: Path) -> None:
    work = tmp_path / "platform" / "work"
    work.mkdir(parents=True)
    (work / "queries.py").write_text("clock = 'SELECT clock_timestamp() '\n")
    assert lint(tmp_path) == []
    (work / "more.py").write_text("clock = 'SELECT clock_timestamp() '\n")
    assert len(lint(tmp_path)) == 1


def test_the_command_answers_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tables.py").write_text(TABLES)
    assert main([str(tmp_path)]) == 0
    (tmp_path / "queries.py").write_text(HEAD + "s = select(fact)\n")
    assert main([str(tmp_path)]) == 1
    assert "queries.py:3: the statement on fact" in capsys.readouterr().out
