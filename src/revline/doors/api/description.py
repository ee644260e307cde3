"""What the OpenAPI description says beyond the handlers' types: raw bodies, the problem document, the key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIFormat

from revline.connectors.direct.cloudevents import BATCH_CONTENT_TYPE, CONTENT_TYPE
from revline.doors.api.problems import MEDIA_TYPE

TEXT: Final = Schema(type=OpenAPIType.STRING)
OBJECT: Final = Schema(type=OpenAPIType.OBJECT)
FILTER: Final = Schema(type=OpenAPIType.STRING, max_length=255)
BINARY_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "time", "sequence", "entity")
KEY_SCHEME: Final = "apiKey"
COMPONENTS: Final = Components(
    security_schemes={
        KEY_SCHEME: SecurityScheme(type="http", scheme="bearer", description="An API key: `Bearer rk_...`.")
    }
)

PROBLEM: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description="RFC 9457 problem details. `code` is stable; `retryable`: no, yes or after_fix; `mender`: who can mend it.",
    required=["type", "title", "status", "detail", "code", "errors", "retryable", "mender", "remedy", "correlation_id"],
    properties={
        **dict.fromkeys(("type", "title", "detail", "code", "mender", "remedy", "correlation_id"), TEXT),
        "status": Schema(type=OpenAPIType.INTEGER),
        "retryable": Schema(type=OpenAPIType.STRING, enum=["no", "yes", "after_fix"]),
        "errors": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.OBJECT, properties=dict.fromkeys(("pointer", "detail", "instead"), TEXT)),
        ),
    },
)

CLOUD_EVENT: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="CloudEvent",
    description="CloudEvents 1.0; `data` is the canonical object that `type` names, by schemas/<kind>/v1.json.",
    required=["specversion", "id", "source", "type", "time", "data"],
    properties={
        "specversion": Schema(type=OpenAPIType.STRING, const="1.0"),
        "id": TEXT,
        "source": TEXT,
        "type": Schema(type=OpenAPIType.STRING, pattern="^revline\\.[a-z_]+\\.v1$", examples=["revline.invoice.v1"]),
        "time": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        "sequence": Schema(type=OpenAPIType.STRING, pattern="^[0-9]{1,18}$"),
        "entity": TEXT,
        "data": OBJECT,
    },
)


@dataclass
class ProblemOperation(Operation):
    """An operation whose every error is a problem document."""

    def __post_init__(self) -> None:
        self.responses = {
            **{status: one for status, one in (self.responses or {}).items() if status != "400"},
            "default": OpenAPIResponse(
                description="A problem document (RFC 9457)", content={MEDIA_TYPE: OpenAPIMediaType(schema=PROBLEM)}
            ),
        }


def list_operation(*, filters: Collection[str]) -> type[ProblemOperation]:
    """The operation of a list that takes these filters as query parameters."""

    @dataclass
    class ListOperation(ProblemOperation):
        def __post_init__(self) -> None:
            super().__post_init__()
            taken = [Parameter(name=name, param_in="query", schema=FILTER) for name in sorted(filters)]
            self.parameters = [*(self.parameters or []), *taken]

    return ListOperation


@dataclass
class EventsOperation(ProblemOperation):
    """POST /v1/events."""

    def __post_init__(self) -> None:
        super().__post_init__()
        batch = Schema(type=OpenAPIType.ARRAY, items=CLOUD_EVENT, max_items=500)
        self.request_body = RequestBody(
            required=True,
            content={
                CONTENT_TYPE: OpenAPIMediaType(schema=CLOUD_EVENT),
                BATCH_CONTENT_TYPE: OpenAPIMediaType(schema=batch),
                "application/json": OpenAPIMediaType(schema=OBJECT),
            },
        )
        attributes = [Parameter(name=f"ce-{name}", param_in="header", schema=FILTER) for name in BINARY_ATTRIBUTES]
        self.parameters = [*(self.parameters or []), *attributes]


@dataclass
class PublicOperation(ProblemOperation):
    """An operation that takes no key."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.security = []


@dataclass
class WebhookOperation(PublicOperation):
    """POST /v1/webhooks/{connector}/{token}."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request_body = RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=OBJECT)})
