"""`revline usage rate-one | check-price`: a price tried out, of a folder or of the configuration in force; nothing is written."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from revline.core.money import parse_amount
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption, TenantOption, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, lines, say
from revline.platform.config.loader import load_folder
from revline.platform.config.queries import active
from revline.platform.config.registry import Registry
from revline.subledger.usage.rating.inputs import MeterNeeds, RatingInput, Shape, Share, needs_of
from revline.subledger.usage.rating.kinds import UsagePrice

define(
    code="cli.price_unknown",
    title="There is no such price",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a UsagePrice document of the folder (--folder) or of the configuration in force.",
)
define(
    code="cli.usage_unclear",
    title="It is not clear what was used",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Give --quantity, or what the price needs instead: revline usage check-price NAME says it.",
)
PriceArgument = Annotated[str, typer.Argument(metavar="PRICE", help="Name of the UsagePrice document.")]
FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="A configuration folder; left out, the configuration in force.")
]


def add_prices(app: typer.Typer, registry: Registry) -> None:
    """The commands that try prices out."""

    @app.command("rate-one")
    def rate_one(
        context: typer.Context,
        price: PriceArgument,
        quantity: Annotated[str, typer.Option("--quantity", help="What the meter counted.")] = "",
        group: Annotated[
            list[str] | None,
            typer.Option("--group", help="values=quantity, such as eu,large=12.5; for time of day the band."),
        ] = None,
        transaction: Annotated[
            list[str] | None, typer.Option("--transaction", help="Amount of one transaction; in order.")
        ] = None,
        share: Annotated[str, typer.Option("--share", help="Part of the period in days, such as 17/31.")] = "",
        folder: FolderOption = None,
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """What one quantity costs, with every step of the way."""
        from revline.subledger.usage.rating.rate import rate  # noqa: PLC0415 - numpy, needed by these commands alone

        found = _price(context, registry, price, folder, tenant, as_json=as_json)
        given = _input(needs_of(found.terms), quantity, group or [], transaction or [], share)
        if isinstance(given, Problem):
            fail(given, as_json=as_json)
        rated = rate(terms=found.terms, inputs=[given])
        if isinstance(rated, Problem):
            fail(rated, as_json=as_json)
        said = rated.explain()
        if as_json:
            emit_json(said)
            return
        lines([*(step.words for step in said.steps), f"= {said.amount} {said.currency}"])

    @app.command("check-price")
    def check_price(
        context: typer.Context,
        price: PriceArgument,
        folder: FolderOption = None,
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """What a price needs of its meter, what it costs at each of its bounds, and where more use costs less."""
        from revline.subledger.usage.rating.trial import tried  # noqa: PLC0415 - numpy, needed by these commands alone

        found = _price(context, registry, price, folder, tenant, as_json=as_json)
        rows = tried(found.terms)
        if isinstance(rows, Problem):
            fail(rows, as_json=as_json)
        needs = needs_of(found.terms)
        if as_json:
            emit_json({"needs": needs, "tried": rows})
            return
        say(_needs_words(needs, found))
        emit_rows(
            [{"used": row.given, "amount": row.amount, "exact": row.exact} for row in rows],
            columns=["used", "amount", "exact"],
            as_json=False,
            empty="The price has no bound.",
        )
        for row in rows:
            if row.falls:
                say(f"at {row.given} more use costs less than just below it")


def _price(  # noqa: RET503 - fail() does not return
    context: typer.Context, registry: Registry, name: str, folder: Path | None, tenant: str, *, as_json: bool
) -> UsagePrice:
    """The price, or the end of the command."""
    if folder is not None:
        loaded = load_folder(folder, registry)
        if loaded.errors:
            fail(
                problem("configuration.invalid", f"{len(loaded.errors)} errors in {folder}", errors=loaded.errors),
                as_json=as_json,
            )
        tenants = loaded.configurations()
        known = {one: each.all(UsagePrice) for one, each in tenants.items() if tenant in {"", one}}
        prices = [each[name].spec for each in known.values() if name in each]
        if len(prices) == 1:
            return prices[0]
        names = sorted({other for each in known.values() for other in each})
        said = "several tenants have it; give --tenant" if prices else f"prices: {', '.join(names[:20]) or 'none'}"
        fail(problem("cli.price_unknown", f"{name[:60]!r} in {folder}: {said}"), as_json=as_json)
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            configuration = active(connection, tenant_id=chosen, registry=registry)
        documents = {} if configuration is None else configuration.all(UsagePrice)
        if name in documents:
            return documents[name].spec
        known_names = ", ".join(sorted(documents)[:20]) or "none yet"
        fail(problem("cli.price_unknown", f"{name[:60]!r}; prices: {known_names}"), as_json=as_json)


def _input(
    needs: MeterNeeds, quantity: str, groups: list[str], transactions: list[str], share: str
) -> RatingInput | Problem:
    """What is rated, from the options."""
    part = _share(share)
    if isinstance(part, Problem):
        return part
    match needs.shape:
        case Shape.QUANTITY:
            if not quantity:
                return problem("cli.usage_unclear", "this price needs a quantity", field="quantity")
            number = parse_amount(quantity)
            return number if isinstance(number, Problem) else RatingInput(quantity=number, share=part)
        case Shape.TRANSACTIONS:
            amounts = _amounts(transactions)
            return amounts if isinstance(amounts, Problem) else RatingInput(transactions=amounts, share=part)
        case Shape.GROUPS:
            pairs = [text.rpartition("=") for text in groups]
            numbers = _amounts([number for _, _, number in pairs])
            if isinstance(numbers, Problem):
                return numbers
            keys = [tuple(values.split(",")) for values, _, _ in pairs]
            fields = len(needs.group_by) or 1
            if any(len(key) != fields for key in keys):
                said = ", ".join(needs.group_by) or "the band"
                return problem("cli.usage_unclear", f"a group of this price is {said}=quantity")
            return RatingInput(groups=tuple(zip(keys, numbers, strict=True)), share=part)


def _amounts(texts: list[str]) -> tuple[Decimal, ...] | Problem:
    if not texts:
        return problem("cli.usage_unclear", "this price needs groups or transactions, not one quantity")
    found: list[Decimal] = []
    for text in texts:
        number = parse_amount(text)
        if isinstance(number, Problem):
            return number
        found.append(number)
    return tuple(found)


def _share(text: str) -> Share | Problem:
    part, _, whole = (text or "1/1").partition("/")
    if not (part.isdecimal() and whole.isdecimal()) or not 0 <= int(part) <= int(whole) or not int(whole):
        return problem("cli.usage_unclear", f"{text[:40]!r} is no part of a period", field="share")
    return Share(part=int(part), whole=int(whole))


def _needs_words(needs: MeterNeeds, price: UsagePrice) -> str:
    match needs.shape:
        case Shape.QUANTITY:
            return f"the meter {price.meter} gives one quantity"
        case Shape.TRANSACTIONS:
            return f"the meter {price.meter} gives the amount of every event"
        case Shape.GROUPS:
            by = ", ".join(needs.group_by) or "band of time"
            return f"the meter {price.meter} gives a quantity for each {by}"
