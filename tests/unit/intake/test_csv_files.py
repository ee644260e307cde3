"""CSV files as canonical objects: headers, exact decimals, rows that stand together, and what is said of a wrong file."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from revline.connectors.direct.translate import translate_object
from revline.connectors.sdk.source import SourceContext
from revline.core.canonical import CreditMemo, Invoice
from revline.core.problem import Problem
from revline.intake.csv_files import Table, lines_of, table_of
from revline.intake.imports import Line

CONTEXT = SourceContext(connection="direct", entity="acme-inc", time_zone="UTC", sandbox=True)


def table(header: str, kind: str, delimiter: str = "") -> Table:
    made = table_of(header=header.encode(), kind=kind, delimiter=delimiter)
    assert isinstance(made, Table), made
    return made


def read(header: str, *rows: str, kind: str) -> list[Line]:
    body = "".join(f"{row}\n" for row in rows).encode()
    return list(lines_of(stream=io.BytesIO(body), table=table(header, kind)))


def snapshot(line: Line) -> Any:
    assert line.problem is None, line.problem
    made = translate_object(body=line.data, context=CONTEXT)
    assert not isinstance(made, Problem), made
    return made[0].snapshot


def refusal(header: str, kind: str = "payment") -> Problem:
    made = table_of(header=header.encode(), kind=kind)
    assert isinstance(made, Problem)
    return made


def test_a_row_is_a_customer_with_its_address() -> None:
    line = read("id;Name;E-mail".replace("E-mail", "email") + ";address_city;time",
                "c-1;Ada, Inc.;a@x.example;Berlin;2026-01-05T09:00:00Z", kind="customer")[0]  # fmt: skip
    customer = snapshot(line)
    assert (customer.outside_id, customer.name, customer.address.city) == ("c-1", "Ada, Inc.", "Berlin")


def test_names_of_api_exports_mean_canonical_fields() -> None:
    line = read(
        "id,Status,Currency,Amount,Created,Invoice ID",
        "p-1,succeeded,USD,10.50,2026-01-05T09:00:00Z,i-1",
        kind="payment",
    )[0]
    payment = snapshot(line)
    assert (payment.outside_id, str(payment.amount), payment.invoice) == ("p-1", "10.50", "i-1")


def test_the_rows_of_an_invoice_are_its_lines_and_sum_exactly() -> None:
    header = "outside_id,number,status,customer,currency,created_at,finalized_at,"
    header += "line_description,line_quantity,line_unit_price,line_amount,line_tax_amount"
    start = "i-1,A-1,open,c-1,USD,2026-01-05T09:00:00Z,2026-01-06T09:00:00Z"
    found = read(header, f"{start},Seats,3,33.35,100.05,19.01", f"{start},Set-up,1,0.10,0.10,", kind="invoice")
    invoice = snapshot(found[0])
    assert isinstance(invoice, Invoice)
    assert (len(found), len(invoice.lines), str(invoice.subtotal), str(invoice.total)) == (1, 2, "100.15", "119.16")
    assert json.loads(found[0].data)["time"] == "2026-01-06T09:00:00Z"


def test_a_credit_memo_is_applied_whole_unless_it_says_otherwise() -> None:
    header = "outside_id,number,status,customer,invoice,currency,issued_at,line_amount"
    memo = snapshot(read(header, "m-1,CN-1,issued,c-1,i-1,USD,2026-01-05T09:00:00Z,12.00", kind="credit_memo")[0])
    assert isinstance(memo, CreditMemo)
    assert (str(memo.total), str(memo.applied_amount), str(memo.refunded_amount)) == ("12.00", "12.00", "0.00")


def test_the_same_row_again_is_the_same_message_and_a_changed_one_another() -> None:
    header, row = "id,payment,status,currency,amount,created_at", "r-1,p-1,succeeded,USD,{},2026-01-05T09:00:00Z"
    first, again, changed = (
        json.loads(read(header, row.format(amount), kind="refund")[0].data)["id"] for amount in ("5.00", "5.00", "6.00")
    )
    assert first == again != changed


@pytest.mark.parametrize("amount", ["1.234,50", "1,000.00", "12e3", "NaN", "", "1.0000000000001"])
def test_an_amount_that_is_no_plain_decimal_is_refused_with_its_line(amount: str) -> None:
    rows = ["p-1;succeeded;USD;10.00;2026-01-05T09:00:00Z", f"p-2;succeeded;USD;{amount};2026-01-05T09:00:00Z"]
    good, bad = read("id;status;currency;amount;created_at", *rows, kind="payment")
    assert good.problem is None
    assert bad.number == 3
    assert bad.problem is not None
    assert bad.problem.field == "amount"


def test_rows_of_one_invoice_that_stand_apart_are_refused() -> None:
    header, row = "id,status,customer,currency,created_at,line_amount", "{},draft,c-1,USD,2026-01-05T09:00:00Z,1.00"
    found = read(header, row.format("i-1"), row.format("i-2"), row.format("i-1"), kind="invoice")
    assert [one.problem is None for one in found] == [True, True, False]
    assert found[2].number == 4


def test_an_invoice_beside_a_row_that_can_not_be_read_is_refused_since_it_may_lack_it() -> None:
    header, row = "id,status,customer,currency,created_at,line_amount", "{},draft,c-1,USD,2026-01-05T09:00:00Z,1.00"
    rows = [row.format("i-1"), "i-1,draft", row.format("i-2"), row.format("i-3")]
    found = read(header, *rows, kind="invoice")
    assert [(one.number, one.problem is None) for one in found] == [(2, False), (3, False), (4, False), (5, True)]


def test_a_row_of_other_length_and_bytes_of_another_encoding_are_said_where_they_stand() -> None:
    rows = b"p-1,succeeded,USD,10.00\np-2,succeeded,USD,10.00,2026-01-05T09:00:00Z\n"
    rows += b"p-\xe9,succeeded,USD,1.00,2026-01-05T09:00:00Z\n"
    found = list(lines_of(stream=io.BytesIO(rows), table=table("id,status,currency,amount,created_at", "payment")))
    assert [(one.number, one.problem.field if one.problem else "") for one in found] == [
        (2, "columns"), (3, ""), (4, "encoding"),
    ]  # fmt: skip


def test_a_header_that_can_not_be_meant_is_refused() -> None:
    assert refusal("id,status,currency,amount,created_at,colour").field == "header"
    assert "colour" in refusal("id,status,currency,amount,created_at,colour").detail
    assert refusal("id status currency").field == "delimiter"
    assert "outside_id" in refusal("status,currency,amount,created_at").detail
    assert "time" in refusal("id,name", kind="customer").detail
    assert refusal("id,id,created_at,amount").field == "header"
    made = table_of(header="id,n\xe4me".encode("latin-1"), kind="customer")
    assert isinstance(made, Problem)
    assert made.field == "encoding"
