"""The books a rehearsal Tryton starts with: companies, charts, a year of periods, journals, currencies, users.

Only what a SaaS subledger posts to. Everything goes over JSON-RPC with the connector's own client, as an administrator would do
it. Knows nothing of how the server is run.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.tryton.client import TrytonClient
from revline.core.money import Amount, known_currency

SERVICE_USER: Final = "revline"
REVENUE_JOURNAL: Final = "REV"
GENERAL_JOURNAL: Final = "MISC"
BOOKS_LAYOUT: Final = 7
"""Raised when what is made here changes, so that a kept template is made anew."""


class TrytonCompany(msgspec.Struct, frozen=True, kw_only=True):
    """One company. code: what a mapping names it by; Tryton keeps it as the code of the company's party. currency: ISO 4217."""

    code: str
    title: str
    currency: str


class TrytonRate(msgspec.Struct, frozen=True, kw_only=True):
    """From `first_day` on, one unit of the pivot currency is `units` of `currency`, to at most six decimals.

    Tryton converts with units(to) / units(from) and rounds half-even: give the currency converted from the whole number.
    """

    currency: str
    first_day: date
    units: Amount


class TrytonBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What is made. year: the fiscal year opened in every company, in monthly periods, and the one before it.

    print_invoices: whether posting also renders each invoice with LibreOffice templates, as Tryton does unless told otherwise.
    """

    companies: tuple[TrytonCompany, ...]
    rates: tuple[TrytonRate, ...]
    year: int
    print_invoices: bool = False


class _Account(msgspec.Struct, frozen=True):
    neutral: str
    code: str
    title: str
    nature: str


CHART: Final = (
    _Account("bank", "1000", "Bank", "asset"),
    _Account("cash", "1010", "Cash", "asset"),
    _Account("processor_clearing", "1050", "Processor clearing", "asset"),
    _Account("accounts_receivable", "1100", "Accounts receivable", "receivable"),
    _Account("disputes_receivable", "1150", "Disputes receivable", "asset"),
    _Account("unbilled_receivable", "1160", "Unbilled receivable", "asset"),
    _Account("contract_asset", "1170", "Contract asset", "asset"),
    _Account("intercompany_receivable", "1800", "Due from group companies", "asset"),
    _Account("accounts_payable", "2000", "Accounts payable", "payable"),
    _Account("tax_payable", "2200", "Tax payable", "liability"),
    _Account("customer_credit_balance", "2300", "Customer credit balances", "deposit"),
    _Account("deferred_revenue", "2400", "Deferred revenue", "deposit"),
    _Account("refund_liability", "2450", "Refund liability", "liability"),
    _Account("intercompany_payable", "2800", "Due to group companies", "liability"),
    _Account("revenue_subscription", "4000", "Subscription revenue", "revenue"),
    _Account("revenue_usage", "4010", "Usage revenue", "revenue"),
    _Account("revenue_product", "4020", "Product revenue", "revenue"),
    _Account("revenue_services", "4030", "Services revenue", "revenue"),
    _Account("refunds_contra_revenue", "4900", "Refunds", "revenue"),
    _Account("credit_notes_contra_revenue", "4910", "Credit notes", "revenue"),
    _Account("disputes_contra_revenue", "4920", "Disputes", "revenue"),
    _Account("processing_fees", "6000", "Processing fees", "expense"),
    _Account("bad_debt_expense", "6100", "Bad debt expense", "expense"),
    _Account("dispute_fees", "6200", "Dispute fees", "expense"),
    _Account("currency_gain", "7000", "Currency gains", "revenue"),
    _Account("currency_loss", "7010", "Currency losses", "expense"),
    _Account("rounding", "7100", "Rounding differences", "expense"),
)
"""The accounts of every company. A deposit-type account is the only balance account Tryton takes on a customer invoice line."""

_TYPES: Final[Mapping[str, dict[str, Any]]] = {
    "asset": {"statement": "balance", "assets": True},
    "receivable": {"statement": "balance", "assets": True, "receivable": True},
    "payable": {"statement": "balance", "payable": True},
    "liability": {"statement": "balance"},
    "deposit": {"statement": "balance", "deposit": True},
    "revenue": {"statement": "income", "revenue": True},
    "expense": {"statement": "income", "expense": True},
}

_INVOICE_REPORT: Final = b"Invoice"


def account_codes(*, books: TrytonBooks) -> dict[str, dict[str, str]]:
    """Company code -> neutral account key -> Tryton account code: what a Mapping document holds."""
    codes = {account.neutral: account.code for account in CHART}
    return {company.code: dict(codes) for company in books.companies}


async def make_books(*, client: TrytonClient, books: TrytonBooks, service_password: str) -> None:
    """Fill a fresh database as its administrator. Raises TrytonFailure with Tryton's own words when it refuses."""
    maker = _Maker(client)
    currencies = await maker.currencies(books)
    companies: list[int] = []
    for company in books.companies:
        companies.append(await maker.company(company, currencies[company.currency]))
        await maker.join(companies)
        maker.context["company"] = companies[-1]
        accounts = await maker.chart(companies[-1])
        await maker.configure(accounts)
        for year in (books.year - 1, books.year):
            await maker.fiscal_year(companies[-1], company.code, year)
    await maker.service_user(companies, service_password)
    if not books.print_invoices:
        await maker.plain_invoice_report()


class _Maker:
    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self.context: dict[str, Any] = {"language": "en"}

    async def _call(self, method: str, *parameters: Any) -> Any:
        return await self._client.call(method, *parameters, context=self.context)

    async def _create(self, model: str, *values: dict[str, Any]) -> list[int]:
        created: list[int] = await self._call(f"model.{model}.create", list(values))
        return created

    async def _search(self, model: str, domain: list[Any]) -> list[int]:
        found: list[int] = await self._call(f"model.{model}.search", domain, 0, None, None)
        return found

    async def _named(self, external_id: str) -> int:
        module, _, name = external_id.partition(".")
        found: int = await self._call("model.ir.model.data.get_id", module, name)
        return found

    async def currencies(self, books: TrytonBooks) -> dict[str, int]:
        codes = dict.fromkeys(
            [company.currency for company in books.companies] + [rate.currency for rate in books.rates]
        )
        made = {}
        for code in codes:
            scale = known_currency(code)
            rates = [
                ["create", [{"date": rate.first_day, "rate": rate.units}]]
                for rate in books.rates
                if rate.currency == code
            ] or [["create", [{"date": date(2000, 1, 1), "rate": Decimal(1)}]]]
            (made[code],) = await self._create(
                "currency.currency",
                {
                    "name": code,
                    "code": code,
                    "symbol": code,
                    "digits": scale.scale,
                    "rounding": scale.quantum,
                    "rates": rates,
                },
            )
        return made

    async def company(self, company: TrytonCompany, currency: int) -> int:
        (party,) = await self._create(
            "party.party",
            {
                "name": company.title,
                "code": company.code,
                "addresses": [["create", [{"street": "1 Rehearsal Street"}]]],
            },
        )
        (made,) = await self._create(
            "company.company", {"party": party, "currency": currency, "cancel_invoice_out": True}
        )
        return made

    async def join(self, companies: list[int]) -> None:
        user = (await self._search("res.user", [["login", "=", "admin"]]))[0]
        await self._call("model.res.user.write", [user], {"companies": [["add", companies]], "company": companies[-1]})

    async def chart(self, company: int) -> dict[str, int]:
        natures = list(dict.fromkeys(account.nature for account in CHART))
        made = await self._create(
            "account.account.type",
            *({"name": nature.title(), "company": company, **_TYPES[nature]} for nature in natures),
        )
        types = dict(zip(natures, made, strict=True))
        values = [
            {
                "name": account.title,
                "code": account.code,
                "company": company,
                "type": types[account.nature],
                "party_required": account.nature in {"receivable", "payable"},
                "reconcile": account.nature in {"receivable", "payable"},
            }
            for account in CHART
        ]
        accounts = await self._create("account.account", *values)
        return {account.neutral: number for account, number in zip(CHART, accounts, strict=True)}

    async def configure(self, accounts: dict[str, int]) -> None:
        journals = await self._search("account.journal", [["type", "=", "write-off"]])
        await self._call(
            "model.account.configuration.write",
            [1],
            {
                "default_account_receivable": accounts["accounts_receivable"],
                "default_account_payable": accounts["accounts_payable"],
                "currency_exchange_journal": journals[0],
                "currency_exchange_credit_account": accounts["rounding"],
                "currency_exchange_debit_account": accounts["rounding"],
            },
        )

    async def fiscal_year(self, company: int, code: str, year: int) -> None:
        async def sequence(name: str, kind: str) -> int:
            values = {"name": f"{code} {name} {year}", "company": company, "prefix": f"{name}{year}/", "padding": 5}
            (made,) = await self._create("ir.sequence.strict", values | {"sequence_type": await self._named(kind)})
            return made

        invoice = await sequence("INV", "account_invoice.sequence_type_account_invoice")
        credit = await sequence("CN", "account_invoice.sequence_type_account_invoice")
        sequences = {
            "company": company,
            "out_invoice_sequence": invoice,
            "out_credit_note_sequence": credit,
            "in_invoice_sequence": invoice,
            "in_credit_note_sequence": credit,
        }
        (made,) = await self._create(
            "account.fiscalyear",
            {
                "name": str(year),
                "start_date": date(year, 1, 1),
                "end_date": date(year, 12, 31),
                "company": company,
                "move_sequence": await sequence("GL", "account.sequence_type_account_move"),
                "invoice_sequences": [["create", [sequences]]],
            },
        )
        await self._call("model.account.fiscalyear.create_period", [made])

    async def service_user(self, companies: list[int], password: str) -> None:
        groups = [await self._named("account.group_account")]
        await self._create(
            "res.user",
            {
                "name": "Revline",
                "login": SERVICE_USER,
                "password": password,
                "companies": [["add", companies]],
                "company": companies[0],
                "company_filter": "all",
                "groups": [["add", groups]],
            },
        )

    async def plain_invoice_report(self) -> None:
        """Billing prints the invoices; a one-word report here spares most of the time of every post."""
        reports = await self._search("ir.action.report", [["report_name", "=", "account.invoice"]])
        content = {"__class__": "bytes", "base64": base64.b64encode(_INVOICE_REPORT).decode("ascii")}
        await self._call(
            "model.ir.action.report.write", reports, {"template_extension": "txt", "report_content_custom": content}
        )
