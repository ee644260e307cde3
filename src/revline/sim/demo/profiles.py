"""What the demonstration plays: the month, each Stripe account's profile, and the chart of Birch's NetSuite. Values only."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from revline.connectors.netsuite.simulator.setup import (
    Account,
    CurrencySetup,
    Item,
    ListValue,
    SetupBody,
    Subsidiary,
)
from revline.core.clock import Period
from revline.sim.stripe_profile import StripeProfile
from revline.sim.tryton_books import TrytonBooks, TrytonCompany, TrytonRate

SEED: Final = 2026
MONTH: Final = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
YEAR: Final = 2026
ORDERS: Final = 30
ORDERS_SMALL: Final = 8
LATE_ORDERS: Final = 4
"""Orders that Salesforce tells of only after the backfill: they come by change data capture."""
PROFILES: Final = {
    "stripe-us": StripeProfile(
        account="aurus",
        customer_prefix="Aurora US",
        invoices=10,
        customers=5,
        other_currency="EUR",
        other_share=Decimal("0.4"),
        families=("subscription", "hardware", ""),
        payout_days=10,
        payouts_failed=0,
        declined_share=Decimal(0),
        memo_refund_share=Decimal("0.1"),
        dispute_won_share=Decimal("0.1"),
    ),
    "stripe-de": StripeProfile(
        account="aurde",
        customer_prefix="Aurora DE",
        currency="EUR",
        time_zone="Europe/Berlin",
        invoices=7,
        customers=3,
        families=("subscription", "hardware"),
        payout_days=12,
        payouts_failed=0,
        declined_share=Decimal(0),
        credit_share=Decimal("0.1"),
    ),
    "stripe": StripeProfile(
        account="birch",
        customer_prefix="Birch",
        invoices=300,
        customers=60,
        families=("subscription", "usage", "hardware", ""),
        credit_share=Decimal("0.01"),
        memo_refund_share=Decimal("0.01"),
        memo_balance_share=Decimal("0.01"),
        dispute_won_share=Decimal("0.005"),
        dispute_lost_share=Decimal("0.005"),
        inquiry_share=Decimal("0.005"),
        account_fees=1,
        subscriptions=40,
        products_told=True,
        orders=ORDERS,
    ),
}
TENANT_OF: Final = {"stripe-us": "aurora", "stripe-de": "aurora", "stripe": "birch"}

TRYTON_BOOKS: Final = TrytonBooks(
    companies=(
        TrytonCompany(code="AURORA-US", title="Aurora Analytics Inc.", currency="USD"),
        TrytonCompany(code="AURORA-DE", title="Aurora Analytics GmbH", currency="EUR"),
    ),
    # 1 EUR is 1.25 USD: Tryton divides units by units, so the currency converted from is the whole number.
    rates=(
        TrytonRate(currency="EUR", first_day=date(YEAR - 1, 1, 1), units=Decimal(1)),
        TrytonRate(currency="USD", first_day=date(YEAR - 1, 1, 1), units=Decimal("1.25")),
    ),
    year=YEAR,
)

BIRCH_ENTITY: Final = "birch-us"
BIRCH_SUBSIDIARY: Final = "1"
BIRCH_ACCOUNTS: Final = {
    "1": "bank",
    "2": "cash",
    "119": "accounts_receivable",
    "122": "processor_clearing",
    "130": "disputes_receivable",
    "131": "unbilled_receivable",
    "132": "contract_asset",
    "220": "tax_payable",
    "230": "customer_credit_balance",
    "231": "refund_liability",
    "240": "deferred_revenue",
    "400": "revenue_subscription",
    "401": "revenue_usage",
    "410": "revenue_product",
    "490": "refunds_contra_revenue",
    "491": "credit_notes_contra_revenue",
    "492": "disputes_contra_revenue",
    "610": "processing_fees",
    "611": "dispute_fees",
    "650": "bad_debt_expense",
}
"""Internal id in NetSuite -> neutral key, as the Mapping has them the other way round."""
BIRCH_ITEMS: Final = {"31": ("Deferred revenue", "240"), "32": ("Sales tax", "220"), "33": ("Hardware", "410")}
BIRCH_ITEMS_CREDITED: Final = {"34": ("Credit notes", "491")}


def birch_books() -> SetupBody:
    """The simulated NetSuite account: one subsidiary, its chart, service items and two years of open periods."""
    return SetupBody(
        currencies=(CurrencySetup(id="1", symbol="USD"),),
        subsidiaries=(Subsidiary(id=BIRCH_SUBSIDIARY, name="Birch Software Inc.", currency="USD"),),
        accounts=tuple(
            Account(id=number, number=number, name=name, type="AcctRec" if name == "accounts_receivable" else "Other")
            for number, name in BIRCH_ACCOUNTS.items()
        ),
        items=tuple(
            Item(id=number, name=name, account=account)
            for number, (name, account) in {**BIRCH_ITEMS, **BIRCH_ITEMS_CREDITED}.items()
        ),
        list_values=(ListValue(list="department", id="10", name="Shared"),),
        first_period=f"{YEAR - 1}-01",
        period_count=24,
    )


def scaled(profile: StripeProfile, scale: Decimal) -> StripeProfile:
    """The profile with a part of its invoices and customers."""
    if scale == 1:
        return profile
    orders = min(profile.orders, ORDERS_SMALL)
    customers = max(1, orders, int(profile.customers * scale))
    return replace(
        profile,
        invoices=max(1, int(profile.invoices * scale)),
        customers=customers,
        subscriptions=min(profile.subscriptions, customers),
        orders=orders,
    )
