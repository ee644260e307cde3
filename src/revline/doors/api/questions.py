"""Questions answered at once, without a write: previews, order checks, credit, master data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, RequestBody, Schema
from litestar.params import FromPath, FromQuery, QueryParameter

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.answers import Answers
from revline.doors.api.description import OBJECT, TEXT, ProblemOperation
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.platform.access.roles import Permission

JSON: Final = "application/json"
SOURCE: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="SourceObject",
    required=["connection", "kind", "outside_id"],
    properties=dict.fromkeys(("connection", "kind", "outside_id"), TEXT),
)
LIST: Final = Schema(type=OpenAPIType.ARRAY, items=OBJECT, max_items=100)


class ReasonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why something can't go on: a code of the error catalogue, the field or key it is about, in words."""

    code: str
    field: str
    detail: str


class JournalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What facts would book. postable: nothing stands against it. roots: by record, its accounting events with journals (each with
    its rule) and documents (with mapping keys that are missing), masters, and differences to what is booked."""

    postable: bool
    reasons: tuple[ReasonAnswer, ...]
    roots: tuple[dict[str, Any], ...]


class InvoiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical invoice with exact totals, what rounding did, and its journals."""

    invoice: dict[str, Any]
    rounding: dict[str, Any]
    postable: bool
    reasons: tuple[ReasonAnswer, ...]
    roots: tuple[dict[str, Any], ...]


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an order can be carried out."""

    accepted: bool
    reasons: tuple[ReasonAnswer, ...]


class CreditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's credit at the end of `as_of`, by currency; amounts are strings, limit and available null without a limit."""

    customer: dict[str, str]
    as_of: str
    currencies: tuple[dict[str, Any], ...]
    blocked: bool
    reasons: tuple[ReasonAnswer, ...]


class MasterDataAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What ERPs call a key. rows: by connection and entity, with code and number, or the reason why there is none."""

    kind: str
    key: str
    rows: tuple[dict[str, str], ...]
    truncated: bool


@dataclass
class QuestionOperation(ProblemOperation):
    """A question with a JSON body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = RequestBody(required=True, content={JSON: OpenAPIMediaType(schema=_SHAPES[self.summary])})


_SHAPES: Final[dict[str | None, Schema]] = {
    "Preview journals": Schema(type=OpenAPIType.OBJECT, properties={"connection": TEXT, "facts": LIST, "root": SOURCE}),
    "Preview an invoice": Schema(
        type=OpenAPIType.OBJECT,
        properties={"connection": TEXT, "draft": OBJECT, "order": OBJECT, "subscription": OBJECT},
    ),
    "Validate an order": Schema(
        type=OpenAPIType.OBJECT, required=["order"], properties={"connection": TEXT, "order": OBJECT}
    ),
}


class QuestionRoutes:
    """The routes with what they need."""

    def __init__(self, *, answers: Answers, threads: Threads) -> None:
        self.answers = answers
        self._threads = threads

    async def asked(self, request: Request[Any, Any, Any], answer: Callable[..., Any], shape: type[Any]) -> Any:
        """One question with a body."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise ProblemError(problem("http.media_type", f"send {JSON}"))
        body = await request.body()
        return await self.given(partial(answer, tenant_id=principal_of(request).tenant_id, body=body), shape)

    async def given(self, work: Callable[[], Any], shape: type[Any]) -> Any:
        """The answer in its shape, or its problem raised."""
        found = await self._threads.run(work)
        if isinstance(found, Problem):
            raise ProblemError(found)
        return msgspec.convert(found, shape)


def question_handlers(routes: QuestionRoutes) -> list[HTTPRouteHandler]:
    """POST /v1/preview/journal, /v1/preview/invoice, /v1/validate/order; GET credit and master data."""
    return [*_posted(routes), *_looked_up(routes)]


def _posted(routes: QuestionRoutes) -> list[HTTPRouteHandler]:
    shared: dict[str, Any] = {
        "opt": {PERMISSION: Permission.READ},
        "operation_class": QuestionOperation,
        "tags": ["questions"],
        "status_code": 200,
    }

    @post(
        "/preview/journal",
        operation_id="previewJournal",
        summary="Preview journals",
        description="What facts would book if they were sent; nothing is written.",
        **shared,
    )
    async def preview_journal(request: Request[Any, Any, Any]) -> Response[JournalAnswer]:
        return Response(await routes.asked(request, routes.answers.preview_journal, JournalAnswer))

    @post(
        "/preview/invoice",
        operation_id="previewInvoice",
        summary="Preview an invoice",
        description="The invoice of lines, an order or a subscription with exact totals, and what it would book.",
        **shared,
    )
    async def preview_invoice(request: Request[Any, Any, Any]) -> Response[InvoiceAnswer]:
        return Response(await routes.asked(request, routes.answers.preview_invoice, InvoiceAnswer))

    @post(
        "/validate/order",
        operation_id="validateOrder",
        summary="Validate an order",
        description="Everything that would stop an order later, said at once.",
        **shared,
    )
    async def validate_order(request: Request[Any, Any, Any]) -> Response[OrderAnswer]:
        return Response(await routes.asked(request, routes.answers.validate_order, OrderAnswer))

    return [preview_journal, preview_invoice, validate_order]


def _looked_up(routes: QuestionRoutes) -> list[HTTPRouteHandler]:
    shared: dict[str, Any] = {
        "opt": {PERMISSION: Permission.READ},
        "operation_class": ProblemOperation,
        "tags": ["questions"],
    }

    @get(
        "/customers/{customer:str}/credit",
        operation_id="customerCredit",
        summary="A customer's credit",
        description="Open items, overdue amount, unapplied cash, credit balance, limit and block, by currency.",
        **shared,
    )
    async def customer_credit(
        request: Request[Any, Any, Any],
        customer: FromPath[str],
        connection: FromQuery[str] = "",
        as_of: FromQuery[date | None] = None,
    ) -> Response[CreditAnswer]:
        _checked(customer, connection)
        tenant_id = principal_of(request).tenant_id
        work = partial(
            routes.answers.credit, tenant_id=tenant_id, customer=customer, connection=connection, as_of=as_of
        )
        return Response(await routes.given(work, CreditAnswer))

    @get(
        "/master-data/{kind:str}",
        operation_id="masterData",
        summary="Master data",
        description="What ERPs call a customer, product, account, tax, dimension, entity or book.",
        **shared,
    )
    async def master_data(
        request: Request[Any, Any, Any],
        kind: FromPath[str],
        key: Annotated[str, QueryParameter(max_length=255)] = "",
    ) -> Response[MasterDataAnswer]:
        _checked(kind, key)
        tenant_id = principal_of(request).tenant_id
        work = partial(routes.answers.master_data, tenant_id=tenant_id, kind=kind, key=key)
        return Response(await routes.given(work, MasterDataAnswer))

    return [customer_credit, master_data]


def _checked(*texts: str) -> None:
    if any(len(text) > 255 or "\0" in text for text in texts):
        raise ProblemError(problem("http.request_invalid", "a name is too long or holds NUL"))
