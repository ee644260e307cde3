"""Values to HTML: the template environment, its filters and its helpers. Everything is escaped but what is made here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from revline.core.money import at_least_in_scale
from revline.core.problem import CATALOGUE, Mender
from revline.doors.console.assets import Assets, icon
from revline.doors.console.states import look
from revline.doors.console.values import Cell, Code, Count, Moment, Money, State, Text
from revline.platform.access.roles import Permission, roles_that_may

LONG_ID: Final = re.compile(r"[A-Za-z0-9]{22,}")
"""A hash or a derived id; what people wrote or a source made is shown whole."""
MENDERS: Final[Mapping[str, str]] = {
    Mender.SENDER: "whoever sent it",
    Mender.CONFIGURATION: "whoever owns the configuration",
    Mender.ERP_ADMINISTRATOR: "the ERP's administrator",
    Mender.OPERATOR: "whoever runs Revline",
    Mender.FINANCE: "finance operations",
    Mender.NOBODY: "nobody: it passes by itself",
}


def make_environment(*, assets: Assets) -> Environment:
    """The environment of all pages. An undefined name is an error, not an empty place."""
    environment = Environment(
        loader=PackageLoader("revline.doors.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        money=money, moment=moment, state=state, id=short_id, ago=ago, cell=cell, number=number, words=words, said=said
    )
    environment.globals.update(
        asset=assets.url, icon=icon, menders=MENDERS, catalogue=CATALOGUE, who_may=who_may, look=look
    )
    return environment


def amount_text(amount: Decimal, currency: str) -> str:
    """An amount with its currency's digits and thousands apart: 1,234.50. Never rounded."""
    shown = at_least_in_scale(amount=amount, code=currency) if currency else amount
    return f"{shown:,f}"


def money(amount: Decimal | None, currency: str = "") -> Markup:
    """An amount and its currency; a dash where there is none."""
    if amount is None:
        return Markup('<span class="quiet">–</span>')
    code = Markup(' <span class="currency">{}</span>').format(currency) if currency else ""
    return Markup('<span class="amount">{}{}</span>').format(amount_text(amount, currency), code)


def moment(at: datetime | date | None, now: datetime | None = None) -> Markup:
    """A moment in the viewer's zone (the browser sees to that), UTC on hover; a day as it is; a dash where there is none.

    now: its distance from there is shown instead of the clock time.
    """
    if at is None:
        return Markup('<span class="quiet">–</span>')
    if not isinstance(at, datetime):
        return Markup('<time class="moment" datetime="{0}">{0}</time>').format(at.isoformat())
    utc = at.astimezone(UTC)
    title = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    stamp = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if now is not None:
        return Markup('<time class="moment" datetime="{}" title="{}">{}</time>').format(stamp, title, ago(at, now))
    return Markup('<time class="moment" data-local datetime="{}" title="{}">{}</time>').format(
        stamp, title, f"{utc:%Y-%m-%d %H:%M}"
    )


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago (or ahead) a moment is, in one unit."""
    if at is None:
        return "never"
    gone = now - at
    ahead, size = gone < timedelta(0), abs(gone)
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if size >= length:
            text = f"{size // length} {unit}"
            return f"in {text}" if ahead else f"{text} ago"
    return "now" if size < timedelta(seconds=5) else (f"in {size.seconds} s" if ahead else f"{size.seconds} s ago")


def state(word: str, hint: str = "") -> Markup:
    """A state: icon, word and colour together."""
    seen = look(word)
    return Markup('<span class="state tone-{}" title="{}">{}<span>{}</span></span>').format(
        seen.tone, hint or seen.meaning, icon(seen.icon, size=14), seen.word
    )


def short_id(value: str) -> Markup:
    """An id in fixed width; a long one is cut in the middle, whole on hover and when copied."""
    cut = f"{value[:10]}…{value[-5:]}" if LONG_ID.fullmatch(value) else value
    return Markup('<code class="id" title="{}">{}</code>').format(value, cut)


def number(value: int) -> str:
    """A count with thousands apart."""
    return f"{value:,}"


def words(value: object) -> str:
    """A name of ours in words: accounting_event → accounting event."""
    return str(value).replace("_", " ").replace(".", " ")


def said(value: str) -> Markup:
    """A sentence of ours for a page: its first letter large, what stands between backticks as code."""
    parts = value.split("`")
    if len(parts) % 2 == 0:
        parts = [value]
    shown = [Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)]
    first = parts[0][:1].upper() + parts[0][1:]
    return Markup("").join([escape(first), *shown[1:]])


def who_may(permission: str) -> str:
    """The roles a permission takes, in words, for beside a disabled button."""
    return " or ".join(role.value for role in roles_that_may(Permission(permission)))


def _linked(href: str, inner: Markup) -> Markup:
    return Markup('<a href="{}">{}</a>').format(href, inner) if href else inner


def _text(one: Text) -> Markup:
    name = "tag" if one.tag else "quiet" if one.quiet else ""
    inner = Markup('<span class="{}">{}</span>').format(name, one.text) if name else escape(one.text)
    hint = Markup('<span class="hint">{}</span>').format(one.hint) if one.hint else ""
    return _linked(one.href, inner) + hint if one.text or one.hint else Markup('<span class="quiet">–</span>')


def _code(one: Code) -> Markup:
    if not one.text:
        return Markup('<span class="quiet">–</span>')
    hint = Markup('<span class="hint">{}</span>').format(one.hint) if one.hint else ""
    return _linked(one.href, short_id(one.text)) + hint


def _moment(one: Moment, now: datetime) -> Markup:
    return moment(one.at, now if one.ago and isinstance(one.at, datetime) else None)


def cell(one: Cell, now: datetime) -> Markup:
    """A cell of a list."""
    match one:
        case Text():
            return _text(one)
        case Code():
            return _code(one)
        case Money():
            return _linked(one.href, money(one.amount, one.currency))
        case Moment():
            return _moment(one, now)
        case State():
            return state(one.word) + (Markup('<span class="hint">{}</span>').format(one.hint) if one.hint else "")
        case Count():
            return _linked(one.href, Markup('<span class="amount">{}</span>').format(number(one.number)))
