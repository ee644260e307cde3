"""A wrong folder is told place by place: file, line, what is wrong and what to write instead."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.app.kinds import registry
from revline.core.events import MIRRORS, EventKind
from revline.core.problem import FieldError
from revline.examples import example_folder, write_example
from revline.platform.config.loader import FILES_MAX, Loaded, load_folder
from revline.platform.config.registry import KindType, Registry
from revline.platform.config.source import DEPTH_MAX, FILE_BYTES_MAX
from revline.platform.tenancy.kinds import Tenant
from revline.subledger.posting.kinds import PostingRule
from tests.unit.posting.builders import starter_with

HEAD = "apiVersion: revline/v1\nkind: {kind}\nmetadata: {{name: {name}, tenant: acme}}\nspec:\n"


def document(kind: str, name: str, spec: str) -> str:
    return HEAD.format(kind=kind, name=name) + "".join(f"  {each}\n" for each in spec.strip("\n").splitlines())


def only(loaded: Loaded) -> FieldError:
    assert len(loaded.errors) == 1, loaded.errors
    return loaded.errors[0]


BOOKED = set(EventKind) - set(MIRRORS) - {EventKind.PAYMENT_APPLIED}
"""Events that need a rule: the others mirror one, or make no entry."""


def test_the_starter_has_no_error_and_a_rule_for_every_event() -> None:
    loaded = starter_with()
    assert loaded.errors == ()
    assert list(loaded.configurations()) == ["acme"]
    rules = loaded.configurations()["acme"].all(PostingRule).values()
    assert {rule.spec.event for rule in rules} == BOOKED
    assert [rule.name for rule in rules if not rule.spec.tests] == []


RULE = "51-rules-money.yaml"


def case(name: str, *parts: str) -> ParameterSet:
    """file, the text in it, what it becomes, what stands on the line that is named, part of the detail, part of the advice."""
    return pytest.param(*parts, id=name)


WRONG = [
    case(
        "an unknown key",
        "10-tenant.yaml",
        "timeZone:",
        "timezone:",
        "timezone:",
        "no key timezone",
        "timeZone",
    ),
    case(
        "a snake-case key",
        "10-tenant.yaml",
        "functionalCurrency: USD",
        "functional_currency: USD",
        "functional_currency: USD",
        "no key functional_currency",
        "functionalCurrency",
    ),
    case(
        "a missing field",
        "10-tenant.yaml",
        "  timeZone: America/New_York\n",
        "",
        "title: Acme Software Inc.",
        "spec has no timeZone",
        "timeZone: text",
    ),
    case(
        "a wrong type",
        "20-connections.yaml",
        "  entity: acme-us\n  sandbox: true",
        "  entity: acme-us\n  sandbox: maybe",
        "sandbox: maybe",
        "spec.sandbox is true or false",
        "sandbox: true",
    ),
    case(
        "a list where a value is",
        "10-tenant.yaml",
        "title: Acme Software Inc.",
        "title: [a]",
        "title: [a]",
        "spec.title is one value",
        "title: text",
    ),
    case(
        "an unknown kind",
        "10-tenant.yaml",
        "kind: LegalEntity",
        "kind: LegalEntitty",
        "LegalEntitty",
        "no key LegalEntitty",
        "LegalEntity",
    ),
    case(
        "another version",
        "30-book.yaml",
        "apiVersion: revline/v1\nkind: Book",
        "apiVersion: revline/v9\nkind: Book",
        "revline/v9",
        "apiVersion can't be 'revline/v9'",
        "apiVersion: revline/v1",
    ),
    case(
        "an unknown reference",
        "40-mapping.yaml",
        "connection: erp",
        "connection: erpp",
        "connection: erpp",
        "no Connection named 'erpp'",
        "one of: erp, stripe-us",
    ),
    case(
        "an unknown currency",
        "10-tenant.yaml",
        "USD",
        "USX",
        "USX",
        "'USX' is not an ISO 4217",
        "functionalCurrency: USD",
    ),
    case(
        "an unknown time zone",
        "10-tenant.yaml",
        "America/New_York",
        "America/Gotham",
        "Gotham",
        "not an IANA time zone",
        "Europe/Berlin",
    ),
    case(
        "a float rate",
        "30-book.yaml",
        '"1.10"',
        "1.10",
        "rate: 1.10",
        "never a number",
        'rate: "1.10"',
    ),
    case(
        "a rate that is no number",
        "30-book.yaml",
        '"1.10"',
        '"NaN"',
        "NaN",
        "never a number",
        '"12.50"',
    ),
    case(
        "a day that is none",
        "51-rules-money.yaml",
        "event: payout.paid\n  effectiveFrom: 2020-01-01",
        "event: payout.paid\n  effectiveFrom: 2020-13-01",
        "2020-13-01",
        "is a day",
        "year-month-day",
    ),
    case(
        "an unknown event",
        "51-rules-money.yaml",
        "event: payout.paid",
        "event: payout.payed",
        "payout.payed",
        "can't be 'payout.payed'",
        "event: payout.paid",
    ),
    case(
        "an unknown amount",
        "51-rules-money.yaml",
        "amount: refund_deferred",
        "amount: refund_defered",
        "refund_defered",
        "no amount 'refund_defered'",
        "refund_deferred",
    ),
    case(
        "an amount of another event",
        "51-rules-money.yaml",
        "amount: refund_deferred",
        "amount: line_net",
        "line_net",
        "line_net is an amount of credit_memo.issued, invoice.issued, each: line",
        "refund_amount",
    ),
    case(
        "a bad condition",
        "50-rules-invoices.yaml",
        'line.product_family == "hardware"',
        "line.product_family ==",
        "line.product_family ==",
        "Syntax error",
        "CEL condition",
    ),
    case(
        "a condition that computes",
        "50-rules-invoices.yaml",
        'line.product_family == "hardware"',
        "line.net * 2 == line.net",
        "line.net * 2",
        "* computes",
        "money_gt",
    ),
    case(
        "a misspelt field in a condition",
        "50-rules-invoices.yaml",
        "line.product_family ==",
        "line.product_famly ==",
        "product_famly",
        "no field 'product_famly'",
        "line.product_family",
    ),
    case(
        "a secret in clear",
        "20-connections.yaml",
        "secret://env/REVLINE_SECRET_STRIPE_SIGNING",
        "whsec_0123456789",
        "whsec_",
        "stands here in clear",
        "secret://env/NAME",
    ),
    case(
        "a secret as a setting",
        "20-connections.yaml",
        "    baseUrl:",
        "    apiKey: abc\n    baseUrl:",
        "apiKey",
        "looks like a secret",
        "among the connection's secrets",
    ),
    case(
        "a secret outside the folder",
        "20-connections.yaml",
        "secret://env/REVLINE_SECRET_STRIPE_SIGNING",
        "secret://file/../../etc/shadow",
        "etc/shadow",
        "malformed",
        "secret://file/PATH",
    ),
    case(
        "a rule that does not balance",
        "51-rules-money.yaml",
        '    - {account: refunds_contra_revenue, side: debit, amount: refund_earned, when: refund.credit_memo == ""}\n',
        "",
        "entries:",
        "do not balance",
        "equal for every event",
    ),
    case(
        "a rule for a mirror",
        "51-rules-money.yaml",
        "event: payout.paid",
        "event: payout.failed",
        "payout.failed",
        "mirror of payout.paid",
        "no rule for it",
    ),
    case(
        "two makers of one effect",
        "30-book.yaml",
        "    - {event: payment.applied, maker: native}",
        "    - {event: invoice.issued, maker: journal}",
        "maker: journal",
        "two makers in book us-gaap: native and journal would both feed accounts_receivable, contract_asset,",
        "one of them",
    ),
    case(
        "a native fee",
        "30-book.yaml",
        "{event: payment.applied, maker: native}",
        "{event: processor_fee.charged, maker: native}",
        "processor_fee",
        "no ERP has a document of its own for processor_fee.charged",
        "maker: journal",
    ),
    case(
        "a journal for an application",
        "30-book.yaml",
        "payment.applied, maker: native",
        "payment.applied, maker: journal",
        "payment.applied",
        "makes no ledger entry",
        "maker: native",
    ),
    case(
        "an account code instead of a key",
        "51-rules-money.yaml",
        "account: processing_fees",
        'account: "6100"',
        "6100",
        "no neutral account key",
        "deferred_revenue",
    ),
    case(
        "a name twice",
        "51-rules-money.yaml",
        "name: payout-paid",
        "name: refund-paid",
        "name: refund-paid",
        "stands also at 51-rules-money.yaml:49",
        "another name",
    ),
    case(
        "a tenant that is not there",
        "40-mapping.yaml",
        "tenant: acme",
        "tenant: acne",
        "tenant: acne",
        "no Tenant named acne",
        "one of: acme",
    ),
    case(
        "text that is a number",
        "30-book.yaml",
        "framework: us_gaap",
        "framework: 1.5",
        "framework: 1.5",
        "1.5 reads as float",
        'framework: "1.5"',
    ),
    case(
        "a key twice",
        "10-tenant.yaml",
        "  title: Acme Software\n",
        "  title: Acme Software\n  title: Acme\n",
        "title: Acme\n",
        "stands here twice",
        "it once",
    ),
    case(
        "an empty code",
        "40-mapping.yaml",
        'bank: "1000"',
        'bank: ""',
        'bank: ""',
        "the code of bank is empty",
        "leave the key out",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "on_line", "detail", "instead"), WRONG)
def test_an_error_names_its_place_and_what_to_write(
    tmp_path: Path, file: str, old: str, new: str, on_line: str, detail: str, instead: str
) -> None:
    write_example(target=tmp_path)
    changed = (tmp_path / file).read_text().replace(old, new)
    assert new in changed
    (tmp_path / file).write_text(changed)
    errors = load_folder(tmp_path, registry()).errors
    (error,) = [each for each in errors if detail in each.detail]
    name, _, line = error.pointer.rpartition(":")
    assert name == file
    assert on_line in changed.splitlines(keepends=True)[int(line) - 1]
    assert instead in error.instead


def test_two_rules_in_force_on_a_common_day_are_an_error() -> None:
    rule = """
event: payout.paid
effectiveFrom: 2026-01-01
entries:
  - {account: bank, side: debit, amount: amount}
  - {account: processor_clearing, side: credit, amount: amount}
"""
    error = only(starter_with(extra=document("PostingRule", "payout-paid-new", rule)))
    assert error.pointer == "99-extra.yaml:6"
    assert error.detail == "payout-paid-new and payout-paid both book payout.paid from 2026-01-01"
    old = "event: payout.paid\n  effectiveFrom: 2020-01-01"
    ended = {RULE: (old, f"{old}\n  effectiveTo: 2026-01-01")}
    assert starter_with(ended, document("PostingRule", "payout-paid-new", rule)).errors == ()


def test_one_stripe_account_of_two_entities_is_an_error() -> None:
    other = document("LegalEntity", "acme-uk", "title: Acme Ltd\nfunctionalCurrency: GBP\ntimeZone: Europe/London")
    stripe = "connector: stripe\nentity: acme-uk\nsecrets: {webhookSigningSecret: secret://env/REVLINE_SECRET_STRIPE_SIGNING}"
    error = only(starter_with(extra=f"{other}---\n{document('Connection', 'stripe-zz', stripe)}"))
    assert "stripe-us (entity acme-us) and stripe-zz (entity acme-uk) are the same stripe account" in error.detail
    assert error.pointer == "99-extra.yaml:15"


def test_two_books_of_one_company_may_not_feed_an_account_twice() -> None:
    book = 'entity: acme-us\nframework: ifrs\nerp: erp\ncompany: "ACME-US"'
    error = only(starter_with(extra=document("Book", "zz-ifrs", book)))
    assert "invoice.issued would feed accounts_receivable" in error.detail
    assert starter_with(extra=document("Book", "zz-ifrs", book.replace("ACME-US", "ACME-IFRS"))).errors == ()


def test_a_rules_own_test_that_fails_says_what_the_rule_books() -> None:
    change = {
        RULE: ('{account: refunds_contra_revenue, debit: "31.00"}', '{account: refunds_contra_revenue, debit: "30.00"}')
    }
    error = only(starter_with(change))
    assert "a refund of which 31.00 was earned: the rule books" in error.detail
    assert "refunds_contra_revenue debit 31.00" in error.detail


def folder_of(place: Path, text: str | bytes, name: str = "one.yaml") -> Loaded:
    folder = place / "configuration"
    folder.mkdir()
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_folder(folder, registry())


HOSTILE = [
    ("an alias", "a: &x [1]\nb: *x\n", "anchors and aliases"),
    ("a tag", "kind: !!python/object/apply:os.system ['true']\n", "tags such as"),
    ("deep nesting", "[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2), "nested deeper"),
    ("a huge file", "a: " + "x" * FILE_BYTES_MAX, "larger than"),
    ("no YAML", "a: [\n", "not YAML"),
    ("no mapping", "- a\n", "a document is a mapping"),
    ("broken text", b"title: \xff\xfe", "can't be read as UTF-8"),
    ("a control character", "a: \x07", "not YAML"),
    ("nothing", "", "the folder has no document"),
    ("a mapping as a key", "{a: b}: c\n", "a key is plain text"),
]


@pytest.mark.parametrize(("text", "detail"), [pytest.param(*row[1:], id=row[0]) for row in HOSTILE])
def test_what_is_no_configuration_is_refused_whole_and_nothing_is_constructed(
    tmp_path: Path, text: str | bytes, detail: str
) -> None:
    loaded = folder_of(tmp_path, text)
    assert loaded.documents == ()
    assert any(detail in each.detail for each in loaded.errors), loaded.errors


@pytest.mark.parametrize("text", ["\\0", "\\ud800", "\\x1b[31m", "\\x7f"])
@pytest.mark.parametrize("place", ["title: {}", "dimensions: {{{}: a}}", "dimensions: {{a: {}}}"])
def test_characters_that_cannot_be_kept_or_shown_are_refused(place: str, text: str) -> None:
    spec = place.format(f'"{text}"')
    if "title" not in place:
        spec += "\ntitle: Acme Ltd"
    spec += "\nfunctionalCurrency: GBP\ntimeZone: Europe/London"
    error = only(starter_with(extra=document("LegalEntity", "acme-uk", spec)))
    assert "control character" in error.detail


def test_a_document_without_its_parts_names_each_missing_one(tmp_path: Path) -> None:
    details = [each.detail for each in folder_of(tmp_path, "kind: Tenant\nspecs: {}\n").errors]
    assert "the document has no apiVersion" in details
    assert "the document has no metadata" in details
    assert "the document has no key specs" in details


@pytest.mark.parametrize("name", ["Acme", "-acme", "ac me", "a" * 64, "../x"])
def test_a_name_is_a_slug(tmp_path: Path, name: str) -> None:
    text = f'apiVersion: revline/v1\nkind: Tenant\nmetadata: {{name: "{name}"}}\nspec: {{title: Acme}}\n'
    assert "is no name" in only(folder_of(tmp_path, text)).detail


def test_links_out_of_the_folder_and_hidden_files_are_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("kind: [\n")
    folder = tmp_path / "configuration"
    write_example(target=folder)
    (folder / "link.yaml").symlink_to(outside)
    (folder / ".hidden.yaml").write_text("kind: [\n")
    assert load_folder(folder, registry()).errors == ()


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number:05}.yaml").write_text("")
    assert "more than 2000 files" in load_folder(tmp_path, registry()).errors[0].detail


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "no such folder" in only(load_folder(tmp_path / "nowhere", registry())).detail


def test_the_digest_does_not_depend_on_files_lines_or_order() -> None:
    one = starter_with().configurations()["acme"]
    other = starter_with({"51-rules-money.yaml": ("# What the processor kept.", "#\n#\n# Fees.")}).configurations()[
        "acme"
    ]
    assert one.digest == other.digest
    changed = starter_with({"10-tenant.yaml": ("Acme Software Inc.", "Acme Inc.")}).configurations()["acme"]
    assert one.digest != changed.digest


def test_an_example_is_never_written_over_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "30-book.yaml").write_text("mine")
    with pytest.raises(FileExistsError):
        write_example(target=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["30-book.yaml"]


def test_a_kind_is_registered_once() -> None:
    found = Registry()
    found.register(KindType(name="Tenant", spec_type=Tenant, tenant_scoped=False))
    with pytest.raises(ValueError, match="registered twice"):
        found.register(KindType(name="Other", spec_type=Tenant))


STARTER = {path.name: path.read_text() for path in sorted(example_folder().glob("*.yaml"))}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_told_or_read_and_never_breaks_the_loader(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(STARTER)))
    text = STARTER[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 60)))
    damaged = (
        text[:start]
        + data.draw(st.sampled_from(["", "[", "{", ": ", "- ", "'", "\t", "&a ", "\n  x: 1\n", "\0"]))
        + text[end:]
    )
    with tempfile.TemporaryDirectory() as place:
        for other, content in {**STARTER, name: damaged}.items():
            (Path(place) / other).write_text(content)
        loaded = load_folder(Path(place), registry())
    assert all(re.fullmatch(r"[\w.-]+:[1-9][0-9]*", error.pointer) for error in loaded.errors)
    assert all(error.detail for error in loaded.errors)
    assert loaded.errors or len(loaded.documents) >= 1
