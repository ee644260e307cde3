"""Settling: which credits pay which lines, what expires, what was promised and not used. Pure.

A statement is computed from everything known of a customer, in the order of time; the order in which it became known is no part
of it. At one instant: lines charged then are paid first (they are of the time before it), then credits expire, are refunded,
and are granted. Lines of one instant are paid in the order of their subjects, use before what commitments add, those that give
back last. A line is paid from the grants that cover it in the order of `Lot.order`.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, localcontext

import msgspec

from revline.core.canonical.credits import Coverage, CreditGrant, CreditRefund
from revline.core.money import PRECISION
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.charges.values import ChargeKind, ChargeSubject
from revline.subledger.usage.commitments import NamedCommitment
from revline.subledger.usage.credits.lines import CHARGE, PROMISED
from revline.subledger.usage.credits.lots import Lot
from revline.subledger.usage.credits.topping_up import due_top_up
from revline.subledger.usage.credits.values import (
    GRANTS_MAX,
    LINES_MAX,
    ZERO,
    Draw,
    Entry,
    GrantBalance,
    Judged,
    Line,
    SettledLine,
    Statement,
    StatementCharge,
)
from revline.subledger.usage.judging import judge

LINE, EXPIRY, REFUND, GRANT = range(4)
"""What comes first at one instant."""
Due = tuple[datetime, int, str]

define(
    code="credits.too_many",
    title="Too many grants or lines for one statement",
    status=413,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Settle a customer with fewer open lines, or bill it in longer periods.",
)
define(
    code="credits.refund_exceeds",
    title="More was refunded than was left",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Credits had expired or been given back before. Correct the refund, or grant the difference again.",
)
define(
    code="credits.grant_unknown",
    title="No such grant",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a grant of this customer, or send the grant that the refund is of.",
)
define(
    code="credits.closed_changed",
    title="What paid a closed line is no longer there",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="A grant was voided, ended or refunded after it had paid. Grant the difference again, or bill it by hand.",
)


def settle(
    *,
    tenant_id: str,
    lines: Iterable[Line],
    commitments: Iterable[NamedCommitment] = (),
    grants: Iterable[CreditGrant] = (),
    refunds: Iterable[CreditRefund] = (),
    at: datetime,
    time_zone: str,
    closed_until: datetime | None = None,
) -> Statement | Problem:
    """The statement of one customer as of `at`.

    lines: of every kind but CREDIT, of all periods its grants reach. commitments: those of other customers are passed over by
    their lines. grants, refunds: one for each id. time_zone: of the entity that sells. Deterministic: the same facts in any
    order give an equal statement. Problem: `credits.too_many`.
    """
    given, held = sorted(lines, key=_line_order), sorted(grants, key=lambda one: one.outside_id)
    if len(given) > LINES_MAX or len(held) > GRANTS_MAX:
        return problem("credits.too_many", f"{len(given)} lines and {len(held)} grants of one customer")
    with localcontext() as context:
        context.prec = PRECISION
        judged: list[Judged] = []
        added: list[StatementCharge] = []
        unpaid: set[str] = set()
        for each in sorted(commitments, key=lambda one: one.name):
            found = judge(commitment=each, lines=given, at=at, time_zone=time_zone)
            made = [one for one in found.charges if closed_until is None or one.subject.window.end > closed_until]
            judged.extend(found.windows)
            added.extend(made)
            if not each.spec.paid_by_credits:
                unpaid.update(one.subject.charge_id(tenant_id) for one in made)
        every = sorted([*given, *(_line_of(one, tenant_id) for one in added)], key=_line_order)
        paid_back = sorted((one for one in refunds if not one.voided), key=_refund_order)
        run = _Run(lines=every, unpaid=unpaid, grants=held, refunds=paid_back, at=at, time_zone=time_zone)
        run.run()
        return Statement(
            at=at,
            lines=tuple(run.settled),
            charges=(*added, *_credit_charges(run.settled)),
            commitments=tuple(judged),
            entries=tuple(run.entries),
            pending=tuple(run.pending),
            balances=run.balances(),
            top_ups=tuple(run.top_ups),
            findings=tuple(run.findings),
        )


class _Run:
    """The one pass over time."""

    def __init__(
        self,
        *,
        lines: Sequence[Line],
        unpaid: set[str],
        grants: Sequence[CreditGrant],
        refunds: Sequence[CreditRefund],
        at: datetime,
        time_zone: str,
    ) -> None:
        self.at = at
        self.zone = time_zone
        self.lots: dict[str, Lot] = {}
        self.settled: list[SettledLine] = []
        self.entries: list[Entry] = []
        self.pending: list[Entry] = []
        self.top_ups: list[CreditGrant] = []
        self.findings: list[Problem] = []
        self._lines = lines
        self._unpaid = unpaid
        self._grants = {grant.outside_id: grant for grant in grants if not grant.voided}
        self._refunds = {refund.outside_id: refund for refund in refunds}
        self._reserved = self._reserve(refunds)
        self._active: list[tuple[tuple[int, datetime, datetime, str], str]] = []
        self._draws: dict[str, list[Draw]] = {}
        self._due: list[Due] = []
        self._touched: set[str] = set()
        self._settled: dict[str, GrantBalance] = {}

    def run(self) -> None:
        """Everything that happens, in the order of time."""
        for number, line in enumerate(self._lines):
            self._due.append((line.draws_at, LINE, f"{number:09d}"))
        self._due.extend(
            (min(grant.begins_at, grant.granted_at), GRANT, name)
            for name, grant in self._grants.items()
            if grant.granted_at <= self.at
        )
        self._due.extend((refund.refunded_at, REFUND, name) for name, refund in self._refunds.items())
        heapq.heapify(self._due)
        while self._due:
            moment, rank, name = heapq.heappop(self._due)
            if moment > self.at and not self._settled:
                self._settled = {name: lot.balance() for name, lot in self.lots.items()}
            if rank == LINE:
                self._pay(self._lines[int(name)])
            elif moment <= self.at or rank == EXPIRY:
                self._happens(moment, rank, name)
            if self._touched and moment <= self.at and (not self._due or self._due[0][0] > moment):
                self._top_up(moment)

    def balances(self) -> tuple[GrantBalance, ...]:
        """Each grant as settled, and what of it open windows leave."""
        now = {name: lot.balance() for name, lot in self.lots.items()}
        settled = self._settled or now
        return tuple(
            msgspec.structs.replace(one, available=now[name].available) for name, one in sorted(settled.items())
        )

    def _happens(self, moment: datetime, rank: int, name: str) -> None:
        if rank == GRANT:
            self._begin(self._grants[name])
        elif rank == REFUND:
            self._take_back(self._refunds[name])
        else:
            self._end(self.lots[name], moment)

    def _keep(self, entries: Iterable[Entry], moment: datetime) -> None:
        (self.entries if moment <= self.at else self.pending).extend(entries)

    def _begin(self, grant: CreditGrant) -> None:
        lot = Lot(grant, reserved=self._reserved.get(grant.outside_id, ZERO), time_zone=self.zone)
        self.lots[grant.outside_id] = lot
        self._keep(lot.begin(), grant.granted_at)
        self._go_on(lot)

    def _go_on(self, lot: Lot) -> None:
        """It can be drawn from, up to its end where that comes by `at`."""
        insort(self._active, (lot.order, lot.grant.outside_id))
        if lot.expires_at is not None and lot.expires_at <= self.at:
            heapq.heappush(self._due, (self._processed_at(lot, lot.expires_at), EXPIRY, lot.grant.outside_id))

    def _processed_at(self, lot: Lot, expires_at: datetime) -> datetime:
        """Credits that pay lines of a window they only touch expire when the last such line has been paid."""
        if lot.grant.coverage is not Coverage.WINDOW_TOUCHED:
            return max(expires_at, lot.grant.granted_at)
        late = (
            line.draws_at
            for line in self._lines
            if line.subject.window.start < expires_at < line.draws_at and lot.pays(line)
        )
        return max([expires_at, lot.grant.granted_at, *late])

    def _end(self, lot: Lot, moment: datetime) -> None:
        expires_at = lot.expires_at
        assert expires_at is not None
        self._active.remove((lot.order, lot.grant.outside_id))
        self._keep(lot.end(expires_at), moment)
        self._touched.add(lot.grant.plan)
        if not lot.over:
            self._go_on(lot)

    def _take_back(self, refund: CreditRefund) -> None:
        lot = self.lots.get(refund.grant)
        if lot is None:
            detail = f"refund {refund.outside_id[:60]} is of the grant {refund.grant[:60]!r}, which is not there"
            self.findings.append(problem("credits.grant_unknown", detail, field=refund.grant))
            return
        amount = min(refund.amount, lot.left)
        lot.reserved = max(lot.reserved - refund.amount, ZERO)
        if amount < refund.amount:
            detail = f"refund {refund.outside_id[:60]} of {refund.amount} found {amount} left"
            self.findings.append(problem("credits.refund_exceeds", detail, field=refund.grant))
        if amount:
            self._keep(lot.take_back(amount, refund_id=refund.outside_id, at=refund.refunded_at), refund.refunded_at)

    def _pay(self, line: Line) -> None:
        if line.fixed is not None:
            draws = self._repeat(line, line.fixed)
        elif line.charge_id in self._unpaid:
            draws = []
        else:
            draws = self._give_back(line) if line.amount < 0 else self._draw(line)
        if draws:
            self._draws.setdefault(line.charge_id, []).extend(draws)
        due = line.amount - sum((draw.amount for draw in draws), ZERO)
        self.settled.append(SettledLine(line=line, draws=tuple(draws), due=due))

    def _draw(self, line: Line) -> list[Draw]:
        draws, left, at = [], line.amount, line.draws_at
        for _, name in self._active:
            lot = self.lots[name]
            amount = min(left, lot.drawable) if left and lot.pays(line) else ZERO
            if not amount:
                continue
            self._keep(lot.draw(amount, line), at)
            self._touched.add(lot.grant.plan)
            draws.append(Draw(grant_id=name, amount=amount))
            left -= amount
        return draws

    def _give_back(self, line: Line) -> list[Draw]:
        """What credits had paid of the charge that is adjusted goes back to them, what was drawn last first."""
        draws, left, at = [], -line.amount, line.draws_at
        paid = self._draws.get(line.adjusts, [])
        for place in range(len(paid) - 1, -1, -1):
            lot = self.lots[paid[place].grant_id]
            amount = min(left, max(paid[place].amount, ZERO), lot.drawn)
            if not amount:
                continue
            self._keep(lot.give_back(amount, line), at)
            self._touched.add(lot.grant.plan)
            paid[place] = msgspec.structs.replace(paid[place], amount=paid[place].amount - amount)
            draws.append(Draw(grant_id=lot.grant.outside_id, amount=-amount))
            left -= amount
        return draws

    def _repeat(self, line: Line, fixed: Sequence[Draw]) -> list[Draw]:
        """What paid a line when its period closed pays it still; what can't is told, for the line is closed."""
        draws, at = [], line.draws_at
        for draw in fixed:
            lot = self.lots.get(draw.grant_id)
            there = ZERO if lot is None else lot.left if draw.amount > 0 else lot.drawn
            amount = min(abs(draw.amount), there)
            if amount < abs(draw.amount):
                detail = f"grant {draw.grant_id[:60]} paid {draw.amount} of a line that is closed and has {there} now"
                self.findings.append(problem("credits.closed_changed", detail, field=draw.grant_id))
            if lot is None or not amount:
                continue
            self._touched.add(lot.grant.plan)
            if draw.amount > 0:
                self._keep(lot.draw(amount, line), at)
                draws.append(Draw(grant_id=draw.grant_id, amount=amount))
            else:
                self._keep(lot.give_back(amount, line), at)
                self._forget(line.adjusts, draw.grant_id, amount)
                draws.append(Draw(grant_id=draw.grant_id, amount=-amount))
        return draws

    def _forget(self, charge_id: str, grant_id: str, amount: Decimal) -> None:
        """What came back of a charge's draws can't come back again."""
        paid = self._draws.get(charge_id, [])
        for place in range(len(paid) - 1, -1, -1):
            if paid[place].grant_id == grant_id and amount:
                gone = min(amount, max(paid[place].amount, ZERO))
                paid[place] = msgspec.structs.replace(paid[place], amount=paid[place].amount - gone)
                amount -= gone

    def _top_up(self, moment: datetime) -> None:
        for plan in sorted(self._touched):
            made = due_top_up(plan=plan, lots=self.lots, known=self._grants, at=moment, time_zone=self.zone)
            if made is not None:
                self._grants[made.outside_id] = made
                self.top_ups.append(made)
                self._begin(made)
        self._touched.clear()

    def _reserve(self, refunds: Sequence[CreditRefund]) -> dict[str, Decimal]:
        reserved: dict[str, Decimal] = {}
        for refund in refunds:
            if refund.refunded_at <= self.at:
                reserved[refund.grant] = reserved.get(refund.grant, ZERO) + refund.amount
        return reserved


def _line_order(line: Line) -> tuple[datetime, bool, bool, ChargeSubject, str]:
    subject = line.subject
    known = subject if subject.origin is not None else msgspec.structs.replace(subject, origin=subject.window)
    return (line.draws_at, line.amount < 0, subject.kind in PROMISED, known, line.charge_id)


def _refund_order(refund: CreditRefund) -> tuple[datetime, str]:
    return (refund.refunded_at, refund.outside_id)


def _line_of(charge: StatementCharge, tenant_id: str) -> Line:
    """An added charge as a line: it is due when its window ends."""
    return Line(
        charge_id=charge.subject.charge_id(tenant_id),
        subject=charge.subject,
        product_family=charge.product_family,
        currency=charge.currency,
        amount=charge.amount,
    )


def _credit_charges(settled: Iterable[SettledLine]) -> Iterable[StatementCharge]:
    """A line for what each grant paid of each line."""
    for one in settled:
        paid: dict[str, Decimal] = {}
        for draw in one.draws:
            paid[draw.grant_id] = paid.get(draw.grant_id, ZERO) + draw.amount
        for grant_id, amount in paid.items():
            yield StatementCharge(
                subject=ChargeSubject(
                    customer=one.line.subject.customer,
                    kind=ChargeKind.CREDIT,
                    price=grant_id,
                    group=((CHARGE, one.line.charge_id),),
                    window=one.line.subject.window,
                ),
                product_family=one.line.product_family,
                currency=one.line.currency,
                amount=-amount,
                explanation=(("line", str(one.line.amount)), ("paid", str(amount)), ("due", str(one.due))),
            )
