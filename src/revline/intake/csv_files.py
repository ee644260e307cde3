"""CSV files as lines of an import: a row an object, or a row a line of an invoice or credit memo whose rows stand together.

A header names canonical fields, or the names of them in API exports (`ALIASES`). Every value is a text; amounts are plain decimals
and stay exactly what they are. Each object becomes a CloudEvent of its kind, known by its content, so the same file again is a
duplicate. Knows no database and no vendor.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, Final

import msgspec

from revline.core.hashing import canonical_bytes, digest_text
from revline.core.money import amount_text
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.intake.imports import Line

DELIMITERS: Final = ",;\t|"
FIELD_BYTES_MAX: Final = 131_072
ROWS_PER_OBJECT_MAX: Final = 5_000
OBJECTS_SEEN_MAX: Final = 5_000_000
COLUMNS_MAX: Final = 200
DECIMAL: Final = re.compile(r"-?\d{1,18}(\.\d{1,12})?\Z", re.ASCII)
PLURALS: Final[Mapping[str, str]] = {
    "customers": "customer",
    "products": "product",
    "invoices": "invoice",
    "payments": "payment",
    "refunds": "refund",
    "credit_memos": "credit_memo",
}
LINE: Final = "line_"
LINE_FIELDS: Final = frozenset(
    {
        "outside_id", "description", "product", "product_name", "product_family", "price", "subscription", "contract",
        "quantity", "unit_price", "amount", "net", "service_start", "service_end", "accrued",
    }
)  # fmt: skip
TAX_FIELDS: Final = ("tax_amount", "tax_taxable", "tax_rate", "tax_rate_percent", "tax_jurisdiction")
ADDRESS_FIELDS: Final = ("line1", "line2", "city", "region", "postal_code", "country")
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "customer": frozenset({"outside_id", "name", "email", "currency", "tax_exempt", "parent", "deleted"})
    | {f"address_{name}" for name in ADDRESS_FIELDS},
    "product": frozenset({"outside_id", "name", "family", "code", "active", "tax_code", "description", "deleted"}),
    "payment": frozenset(
        {
            "outside_id", "status", "customer", "currency", "amount", "created_at", "payment_intent", "invoice",
            "balance_transaction", "method", "description", "failure_code",
        }
    ),
    "refund": frozenset(
        {
            "outside_id", "payment", "status", "currency", "amount", "earned", "created_at", "failed_at", "reason",
            "credit_memo", "balance_transaction",
        }
    ),
    "invoice": frozenset(
        {
            "outside_id", "number", "status", "customer", "currency", "subtotal", "discount_total", "tax_total", "total",
            "amount_paid", "amount_remaining", "created_at", "finalized_at", "due_at", "paid_at", "voided_at",
            "marked_uncollectible_at", "billing_reason", "collection_method", "purchase_order", "subscription",
            "contract", "memo",
        }
    ),
    "credit_memo": frozenset(
        {
            "outside_id", "number", "status", "customer", "invoice", "currency", "tax_total", "total", "applied_amount",
            "credited_amount", "refunded_amount", "out_of_band_amount", "earned", "issued_at", "voided_at", "reason",
            "memo",
        }
    ),
}  # fmt: skip
WITH_LINES: Final = frozenset({"invoice", "credit_memo"})
FLAGS: Final = frozenset({"tax_exempt", "deleted", "active"})
MOMENTS: Final = (
    "created_at", "issued_at", "finalized_at", "paid_at", "voided_at", "marked_uncollectible_at", "failed_at",
)  # fmt: skip
ALIASES: Final[Mapping[str, str]] = {
    "id": "outside_id",
    "customer_id": "customer",
    "invoice_id": "invoice",
    "charge": "payment",
    "payment_id": "payment",
    "created": "created_at",
    "date": "created_at",
    "due_date": "due_at",
    "invoice_number": "number",
    "credit_note_number": "number",
    "tax": "tax_total",
    "payment_method_type": "method",
    "product_id": "outside_id",
    "sku": "code",
    "address_state": "address_region",
    "address_line_1": "address_line1",
    "address_line_2": "address_line2",
    "address_zip": "address_postal_code",
    "line_id": "line_outside_id",
    "line_item_id": "line_outside_id",
    "line_product_id": "line_product",
    "line_unit_amount": "line_unit_price",
    "line_period_start": "line_service_start",
    "line_period_end": "line_service_end",
    "updated": "time",
    "updated_at": "time",
}
"""Names in API exports -> canonical names. Letters' case, spaces, dots and slashes of a header don't matter."""


class _RowError(Exception):
    """A row, or the rows of an object, that can't be made an object."""

    def __init__(self, refusal: Problem) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A CSV file after its header: its delimiter and the canonical name of each column."""

    kind: str
    delimiter: str
    columns: tuple[str, ...]


def table_of(*, header: bytes, kind: str, delimiter: str = "") -> Table | Problem:
    """What a header line says. delimiter: "" to find out which of comma, semicolon, tab and bar it is."""
    text = _decoded(header, line=1)
    if isinstance(text, Problem):
        return text
    text = text.removeprefix("\ufeff").strip("\r\n")
    chosen = delimiter or max(DELIMITERS, key=text.count)
    names = next(csv.reader([text], delimiter=chosen), [])
    if len(names) < 2 or len(names) > COLUMNS_MAX:
        detail = f"the header has {len(names)} columns by {chosen!r}; columns are separated by one of , ; tab |"
        return problem("import.csv_invalid", detail, field="delimiter")
    columns = tuple(_column(name, kind) for name in names)
    unknown = [name for name, column in zip(names, columns, strict=True) if not column]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if unknown or twice:
        known = ", ".join(sorted(_known(kind)))
        said = f"{unknown[0][:60]!r} is no field of {kind}" if unknown else f"{twice[0]} stands there twice"
        error = FieldError(pointer="line 1", detail=said, instead=f"one of {known}")
        return problem("import.csv_invalid", said, field="header", errors=(error,))
    missing = sorted({"outside_id", *(["line_amount"] if kind in WITH_LINES else [])} - set(columns))
    if not set(columns) & {"time", *MOMENTS}:
        missing.append("time")
    if missing:
        detail = f"the column {missing[0]} is missing"
        return problem("import.csv_invalid", detail, field="header")
    return Table(kind=kind, delimiter=chosen, columns=columns)


def lines_of(*, stream: BinaryIO, table: Table) -> Iterator[Line]:
    """The objects of a file after its header, each as one line of an import with the number of its first row."""
    held: list[tuple[int, dict[str, str]]] = []
    seen: set[str] = set()
    # A row that can't be read may be a line of the object before it or of the one after: neither is known to be whole then.
    torn = False
    for number, row in _rows(stream, table):
        if isinstance(row, Problem):
            torn = table.kind in WITH_LINES
            if held:
                yield _line(held, table, seen, torn=torn)
                held = []
            yield Line(number=number, data=b"", problem=row)
            continue
        if held and (table.kind not in WITH_LINES or row.get("outside_id") != held[0][1].get("outside_id")):
            yield _line(held, table, seen, torn=torn)
            held, torn = [], False
        held.append((number, row))
        if len(held) > ROWS_PER_OBJECT_MAX:
            why = f"an object has at most {ROWS_PER_OBJECT_MAX} rows"
            yield Line(number=number, data=b"", problem=problem("import.csv_invalid", why, field="rows"))
            held = []
    if held:
        yield _line(held, table, seen, torn=torn)


def _rows(stream: BinaryIO, table: Table) -> Iterator[tuple[int, dict[str, str] | Problem]]:
    """Rows with the number of the line they end on. Bytes that are no UTF-8 are refused where they stand."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
    csv.field_size_limit(FIELD_BYTES_MAX)
    reader = csv.reader(text, delimiter=table.delimiter, strict=True)
    try:
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.line_num + 1, problem("import.csv_invalid", f"not CSV: {error}", field="quotes")
                continue
            number = reader.line_num + 1
            if not any(values):
                continue
            if any(_broken(value) for value in values):
                why = f"line {number} is not UTF-8; save the file in UTF-8"
                yield number, problem("import.csv_invalid", why, field="encoding")
            elif len(values) != len(table.columns):
                detail = f"the row has {len(values)} columns, the header has {len(table.columns)}"
                yield number, problem("import.csv_invalid", detail, field="columns")
            else:
                yield number, {name: value.strip() for name, value in zip(table.columns, values, strict=True)}
    finally:
        text.detach()


def _line(held: Sequence[tuple[int, dict[str, str]]], table: Table, seen: set[str], *, torn: bool) -> Line:
    number, first = held[0]
    raw = canonical_bytes([row for _, row in held])
    try:
        identity = first.get("outside_id", "")
        if table.kind in WITH_LINES:
            if identity in seen:
                detail = f"rows of {table.kind} {identity[:60]!r} stand apart; sort the file by {table.kind}"
                raise _RowError(problem("import.csv_invalid", detail, field="rows"))
            if len(seen) < OBJECTS_SEEN_MAX:
                seen.add(identity)
        if torn:
            detail = f"a row beside {table.kind} {identity[:60]!r} can't be read, so it may not be whole"
            raise _RowError(problem("import.csv_invalid", detail, field="rows"))
        data = _object([row for _, row in held], table.kind)
        return Line(number=number, data=_event(data, table.kind, first), raw=raw)
    except _RowError as error:
        return Line(number=number, data=b"", problem=error.refusal, raw=raw)


def _event(data: dict[str, Any], kind: str, row: Mapping[str, str]) -> bytes:
    """The CloudEvent of an object: its id follows from its content, its time is the object's own."""
    time = row.get("time") or max((row[name] for name in MOMENTS if row.get(name)), default="")
    if not time:
        raise _RowError(problem("import.csv_invalid", "the row has no time", field="time"))
    digest = digest_text({"time": time, "data": data})[:24]
    return canonical_bytes(
        {
            "specversion": "1.0",
            "id": f"csv-{kind}-{digest}",
            "source": "csv",
            "type": f"revline.{kind}.v1",
            "subject": data["outside_id"],
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def _object(rows: Sequence[Mapping[str, str]], kind: str) -> dict[str, Any]:
    first = rows[0]
    given = {name: _value(name, first[name]) for name in FIELDS[kind] & set(first) if first[name]}
    if kind == "customer":
        address = {name: given.pop(f"address_{name}", "") for name in ADDRESS_FIELDS}
        return given | {"address": address} if any(address.values()) else given
    if kind in {"payment", "refund"}:
        _decimal(first, "amount")
    if kind == "refund":
        given.setdefault("earned", _zero(first, "amount"))
    return _with_lines(given, rows, kind) if kind in WITH_LINES else given


def _with_lines(given: dict[str, Any], rows: Sequence[Mapping[str, str]], kind: str) -> dict[str, Any]:
    for row in rows[1:]:
        other = next((name for name in FIELDS[kind] & set(row) if row[name] not in {rows[0][name], ""}), "")
        if other:
            detail = f"{other} differs among the rows of {given.get('outside_id', '')[:60]!r}"
            raise _RowError(problem("import.csv_invalid", detail, field=other))
    lines = [_one_line(row, number) for number, row in enumerate(rows, start=1)]
    zero = _zero(rows[0], "line_amount")
    tax = sum((Decimal(one["amount"]) for line in lines for one in line["taxes"]), Decimal(zero))
    net = sum((Decimal(line["net"]) for line in lines), Decimal(zero))
    made = {"lines": lines, "tax_total": amount_text(tax), "total": amount_text(net + tax)}
    if kind == "invoice":
        discounts = [Decimal(one["amount"]) for line in lines for one in line["discounts"]]
        amounts = [Decimal(line["amount"]) for line in lines]
        made |= {"number": "", "subtotal": amount_text(sum(amounts, Decimal(zero))), "amount_paid": zero}
        made |= {"discount_total": amount_text(sum(discounts, Decimal(zero))), "amount_remaining": made["total"]}
        return made | given
    nothing = dict.fromkeys(("credited_amount", "refunded_amount", "out_of_band_amount", "earned"), zero)
    return made | {"number": "", "applied_amount": made["total"]} | nothing | given


def _one_line(row: Mapping[str, str], number: int) -> dict[str, Any]:
    amount = _decimal(row, "line_amount")
    discount = _decimal(row, "line_discount_amount", default="")
    tax = _decimal(row, "line_tax_amount", default="")
    net = amount_text(Decimal(amount) - Decimal(discount or 0))
    quantity = _decimal(row, "line_quantity", default="1")
    given = {name: row[LINE + name] for name in LINE_FIELDS if row.get(LINE + name)}
    taxes = []
    if tax:
        about = {name.removeprefix("tax_"): row[LINE + name] for name in TAX_FIELDS if row.get(LINE + name)}
        taxes = [{"taxable": given.get("net", net), **about}]
    made = {
        "outside_id": str(number),
        "quantity": quantity,
        "unit_price": amount,
        "net": net,
        "discounts": [{"amount": discount}] if discount else [],
        "taxes": taxes,
    }
    if "unit_price" not in given and Decimal(quantity) != 1:
        detail = "a line of another quantity than 1 needs its unit_price"
        raise _RowError(problem("import.csv_invalid", detail, field="line_unit_price"))
    return made | given


def _value(name: str, text: str) -> Any:
    if name not in FLAGS:
        return text
    if text.lower() not in {"true", "false"}:
        raise _RowError(problem("import.csv_invalid", f"{name} is not true or false", field=name))
    return text.lower() == "true"


def _decimal(row: Mapping[str, str], name: str, *, default: str | None = None) -> str:
    """A plain decimal as it stands; thousands separators and decimal commas are said, not guessed."""
    text = row.get(name, "")
    if not text and default is not None:
        return default
    if not DECIMAL.match(text):
        detail = f"{name} {text[:40]!r} is no plain decimal such as 1234.50"
        raise _RowError(problem("import.csv_invalid", detail, field=name))
    return text


def _zero(row: Mapping[str, str], name: str) -> str:
    """Nothing, with as many digits as the row's amount has."""
    return amount_text(Decimal(_decimal(row, name)) * 0)


def _known(kind: str) -> set[str]:
    known = {*FIELDS[kind], "time"}
    if kind in WITH_LINES:
        known |= {LINE + name for name in (*LINE_FIELDS, *TAX_FIELDS, "discount_amount")}
    return known


def _column(name: str, kind: str) -> str:
    """The canonical name of a column, "" when there is none of that name."""
    plain = re.sub(r"[\s./-]+", "_", name.strip().lower()).strip("_")
    known = _known(kind)
    return plain if plain in known else alias if (alias := ALIASES.get(plain, "")) in known else ""


def _broken(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _decoded(data: bytes, *, line: int) -> str | Problem:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"line {line}, byte {error.start + 1} is not UTF-8; save the file in UTF-8"
        return problem("import.csv_invalid", detail, field="encoding")


define(
    code="import.csv_invalid",
    title="Not a CSV row that can be taken in",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Correct the named place in the file and import it again; rows that were taken in are duplicates then.",
)
