"""Prepaid credits over the API: grants, a customer's statement, and the acts on a grant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody, QueryParameter

from revline.core.problem import Problem
from revline.doors import credits as shared
from revline.doors.api.acts import ACT, OPERATION, STORABLE, VALUE_LENGTH_MAX, ReasonText
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission, Principal

IdText = Annotated[str, msgspec.Meta(min_length=1, max_length=VALUE_LENGTH_MAX, pattern=STORABLE)]
OptionalText = Annotated[str, msgspec.Meta(max_length=VALUE_LENGTH_MAX, pattern=STORABLE)]
AmountText = Annotated[str, msgspec.Meta(pattern=r"^((0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?)?$")]
MomentText = Annotated[str, msgspec.Meta(max_length=40, pattern=STORABLE)]


class GrantWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits to grant by a plan. amount, cost: decimal strings; empty: as the plan says. starts, expires: a day, which begins
    where the entity keeps its books, or a time with an offset. grant: its id; the same again is done once."""

    customer: IdText
    plan: IdText
    reason: ReasonText
    connection: OptionalText = ""
    grant: OptionalText = ""
    amount: AmountText = ""
    cost: AmountText = ""
    starts: MomentText = ""
    expires: MomentText = ""
    method: OptionalText = ""


class GrantEnded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant to end. at: a day or a time to come; empty: now."""

    grant: IdText
    reason: ReasonText
    connection: OptionalText = ""
    at: MomentText = ""


class GrantVoided(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant that was a mistake."""

    grant: IdText
    reason: ReasonText
    connection: OptionalText = ""


class RefundWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unused credits to give back. amount: empty: all that are available. refund: its id; the same again is done once."""

    grant: IdText
    reason: ReasonText
    connection: OptionalText = ""
    amount: AmountText = ""
    refund: OptionalText = ""
    method: OptionalText = ""


class CreditRoutes(Desk):
    """The routes with what they need."""

    def statement(self, who: Principal, customer: str, connection: str, at: str) -> dict[str, Any] | Problem:
        """A customer's credits."""
        found = shared.statement(
            self._services, tenant_id=who.tenant_id, customer=customer, connection=connection, at=at
        )
        if isinstance(found, Problem):
            return found
        named, settled = found
        ledger = self._services.credits.ledger(tenant_id=who.tenant_id, customer=named)
        return shared.plain_statement(named, settled, ledger)

    def grant(self, who: Principal, data: GrantWanted) -> Any:
        """Grant credits."""
        values = msgspec.structs.asdict(data)
        reason = values.pop("reason")
        return shared.grant(
            self._services,
            tenant_id=who.tenant_id,
            asked=shared.GrantAsked(**values),
            actor=who.actor,
            reason=reason,
        )

    def end(self, who: Principal, data: GrantEnded) -> Any:
        """End a grant."""
        return shared.end(self._services, tenant_id=who.tenant_id, actor=who.actor, **msgspec.structs.asdict(data))

    def void(self, who: Principal, data: GrantVoided) -> Any:
        """Take a grant back."""
        return shared.void(self._services, tenant_id=who.tenant_id, actor=who.actor, **msgspec.structs.asdict(data))

    def refund(self, who: Principal, data: RefundWanted) -> Any:
        """Give credits back."""
        values = msgspec.structs.asdict(data)
        values["refund_id"] = values.pop("refund")
        return shared.refund(self._services, tenant_id=who.tenant_id, actor=who.actor, **values)


def credit_routes(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of credits but the list."""
    routes = CreditRoutes(services=services, threads=threads)
    return (_statement(routes), *_acting(routes))


def _statement(routes: CreditRoutes) -> Any:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/credits/statement", operation_id="creditStatement", summary="A customer's credits and commitments", **read)
    async def credit_statement(
        request: Request[Any, Any, Any],
        customer: Annotated[str, QueryParameter(min_length=1, max_length=VALUE_LENGTH_MAX)],
        connection: Annotated[str, QueryParameter(max_length=VALUE_LENGTH_MAX)] = "",
        at: Annotated[str, QueryParameter(max_length=40)] = "",
    ) -> Response[Any]:
        return await routes.read(partial(routes.statement, principal_of(request), customer, connection, at))

    return credit_statement


def _acting(routes: CreditRoutes) -> Sequence[Any]:
    allowed: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.GRANT_CREDITS}}

    @post("/credits", operation_id="grantCredits", summary="Grant credits by a plan", **allowed)
    async def grant_credits(request: Request[Any, Any, Any], data: JSONBody[GrantWanted]) -> Response[Any]:
        return await routes.act(request, partial(routes.grant, principal_of(request), data))

    @post("/credits/end", operation_id="endCredits", summary="Let a grant expire early", **allowed)
    async def end_credits(request: Request[Any, Any, Any], data: JSONBody[GrantEnded]) -> Response[Any]:
        return await routes.act(request, partial(routes.end, principal_of(request), data))

    @post("/credits/void", operation_id="voidCredits", summary="Take back a grant that was a mistake", **allowed)
    async def void_credits(request: Request[Any, Any, Any], data: JSONBody[GrantVoided]) -> Response[Any]:
        return await routes.act(request, partial(routes.void, principal_of(request), data))

    @post("/credits/refund", operation_id="refundCredits", summary="Give unused credits back", **allowed)
    async def refund_credits(request: Request[Any, Any, Any], data: JSONBody[RefundWanted]) -> Response[Any]:
        return await routes.act(request, partial(routes.refund, principal_of(request), data))

    return (grant_credits, end_credits, void_credits, refund_credits)
