"""Every error as RFC 9457 problem+json: ours, the framework's and the unexpected. No stack trace and no text of an exception
leaves."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException

from revline.core.hashing import canonical_bytes
from revline.core.problem import CATALOGUE, FieldError, Mender, Problem, ProblemError, Retryable, define, problem
from revline.platform.logs import log
from revline.platform.store.engine import is_transient
from revline.platform.work.pressure import RETRY_AFTER_SECONDS

MEDIA_TYPE: Final = "application/problem+json"
CORRELATION: Final = "revline_correlation_id"
CODES: Final = {
    400: "http.request_invalid",
    401: "access.key_unknown",
    403: "access.forbidden",
    404: "http.not_found",
    405: "http.method_not_allowed",
    413: "http.body_too_large",
    415: "http.media_type",
    429: "http.too_many_requests",
    503: "service.unavailable",
}
RETRY_AFTER: Final = {"intake.held_back": str(RETRY_AFTER_SECONDS)}
HEADERS: Final = {
    401: {"WWW-Authenticate": 'Bearer realm="revline"'},
    503: {"Retry-After": "1"},
    429: {"Retry-After": "1"},
}


def problem_body(found: Problem, *, base: str, correlation_id: str) -> dict[str, Any]:
    """The members of a problem document."""
    entry = found.entry
    return {
        "type": base + found.code,
        "title": entry.title,
        "status": entry.status,
        "detail": found.detail,
        "code": found.code,
        "errors": [
            {"pointer": error.pointer, "detail": error.detail, "instead": error.instead} for error in found.errors
        ],
        "retryable": entry.retryable.value,
        "mender": entry.mender.value,
        "remedy": entry.remedy,
        "correlation_id": correlation_id,
    }


def correlation_of(scope: Any) -> str:
    """The request's correlation id."""
    return str((scope.get("state") or {}).get(CORRELATION, ""))


def answer(found: Problem, *, base: str, scope: Any, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The response of a problem."""
    status = found.entry.status
    body = canonical_bytes(problem_body(found, base=base, correlation_id=correlation_of(scope)))
    again = {"Retry-After": RETRY_AFTER[found.code]} if found.code in RETRY_AFTER else {}
    given = {**HEADERS.get(status, {}), **again, **(headers or {})}
    return Response(content=body, status_code=status, media_type=MEDIA_TYPE, headers=given)


class ExceptionAnswers:
    """Exception handlers of the app. base: beginning of problem type URIs."""

    def __init__(self, base: str) -> None:
        self._base = base

    def of_problem(self, request: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
        """A problem a service raised."""
        return answer(error.problem, base=self._base, scope=request.scope)

    def of_http(self, request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
        """What the framework refused before a handler saw it. Only its status and the places it names are kept."""
        status = error.status_code
        if status >= 500 and status != 503:
            return self.of_unexpected(request, error)
        code = CODES.get(status, "http.request_invalid")
        extra = error.extra if isinstance(error.extra, list) else []
        errors = tuple(
            FieldError(pointer=str(one.get("key", ""))[:80], detail=str(one.get("message", ""))[:200])
            for one in extra[:20]
            if isinstance(one, dict)
        )
        allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        found = problem(code, CATALOGUE[code].title, errors=errors)
        return answer(found, base=self._base, scope=request.scope, headers=allow)

    def of_unexpected(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """A failure nobody foresaw: logged by type and place, answered without a word of it."""
        if isinstance(error, RecursionError):
            return answer(problem("json.too_deep", "the body nests too deep"), base=self._base, scope=request.scope)
        if is_transient(error):
            log().warning("api.database_away", exc_info=error)
            found = problem("service.unavailable", "the database did not answer in time")
        else:
            log().error("api.failed", exc_info=error)
            found = problem(
                "internal.unexpected", "the request could not be finished; give the operator the correlation id"
            )
        return answer(found, base=self._base, scope=request.scope)


for _code, _title, _status, _retryable, _mender, _remedy in (
    ("http.request_invalid", "Not a valid request", 400, Retryable.NO, Mender.SENDER, "Correct the named parts."),
    ("http.not_found", "Nothing is here", 404, Retryable.NO, Mender.SENDER, "Check the path."),
    ("http.method_not_allowed", "Not by this method", 405, Retryable.NO, Mender.SENDER, "Use a method `Allow` names."),
    ("http.body_too_large", "The body is too large", 413, Retryable.NO, Mender.SENDER, "Send smaller requests."),
    ("http.media_type", "Not this content type", 415, Retryable.NO, Mender.SENDER, "Send what the API describes."),
    ("http.too_many_requests", "Too many requests", 429, Retryable.YES, Mender.SENDER, "Wait as `Retry-After` says."),
    ("service.unavailable", "Not now", 503, Retryable.YES, Mender.NOBODY, "Try again after `Retry-After` seconds."),
    ("service.unready", "Not ready to serve", 503, Retryable.YES, Mender.OPERATOR, "See the named checks."),
    ("tenant.unknown", "No such tenant", 422, Retryable.NO, Mender.SENDER, "Name the key's own tenant, or none."),
):
    define(code=_code, title=_title, status=_status, retryable=_retryable, mender=_mender, remedy=_remedy)
