"""How POST /v1/usage is described. The request itself never gets here: the raw door in front of the framework answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar import post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat

from revline.core.problem import ProblemError, problem
from revline.doors.api.description import OBJECT, ProblemOperation
from revline.doors.api.guards import PERMISSION
from revline.doors.usage.answers import UsageAnswer
from revline.doors.usage.bodies import BATCH, PLAIN, SINGLE
from revline.platform.access.roles import Permission
from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX

DESCRIPTION: Final = (
    f"CloudEvents 1.0 in structured JSON: one as `{SINGLE}`, many as `{BATCH}`, either as `{PLAIN}`; as they are, or packed "
    "by gzip or zstd. An array answers 200 with a verdict for each event, in the order they were sent: accepted, duplicate, "
    "conflict or invalid; accepted means that it is on disk. A single event that is refused answers with its problem. The same "
    "events sent again are duplicates, however much later, so whatever was not answered is simply sent again. Business events "
    "are refused: they go to POST /v1/events."
)


def _text(bytes_max: int) -> Schema:
    return Schema(type=OpenAPIType.STRING, min_length=1, max_length=bytes_max)


USAGE_EVENT: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="UsageEvent",
    description="A CloudEvent of a usage type; `source` and `id` together are its identity for ever, `subject` names the customer.",
    required=["id", "source", "type", "subject"],
    properties={
        "specversion": Schema(type=OpenAPIType.STRING, const="1.0"),
        "id": _text(ID_BYTES_MAX),
        "source": _text(SOURCE_BYTES_MAX),
        "type": _text(128),
        "subject": _text(SUBJECT_BYTES_MAX),
        "time": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        "data": OBJECT,
    },
)


@dataclass
class UsageOperation(ProblemOperation):
    """POST /v1/usage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        batch = Schema(type=OpenAPIType.ARRAY, items=USAGE_EVENT)
        self.request_body = RequestBody(
            required=True,
            content={
                BATCH: OpenAPIMediaType(schema=batch),
                SINGLE: OpenAPIMediaType(schema=USAGE_EVENT),
                PLAIN: OpenAPIMediaType(schema=batch),
            },
        )
        packed = Parameter(
            name="Content-Encoding",
            param_in="header",
            schema=Schema(type=OpenAPIType.STRING, enum=["identity", "gzip", "zstd"]),
        )
        self.parameters = [*(self.parameters or []), packed]


def usage_description(_: Any) -> list[Any]:
    """The described route, for `ApiPorts.routes`."""

    @post(
        "/usage",
        status_code=200,
        opt={PERMISSION: Permission.SEND_EVENTS},
        operation_id="sendUsage",
        operation_class=UsageOperation,
        summary="Send usage events",
        description=DESCRIPTION,
        tags=["intake"],
    )
    async def send_usage() -> UsageAnswer:
        raise ProblemError(problem("service.unavailable", "this server takes no usage"))

    return [send_usage]
