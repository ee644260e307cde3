"""The simulated Stripe as a whole: who may call, the same answer to the same idempotency key, faults on demand, expansion.

Pure: bytes in, an answer out. Sources: docs.stripe.com/api/authentication, /api/idempotent_requests, /rate-limits.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from revline.connectors.sdk.rehearsal_calls import Answer
from revline.connectors.stripe.simulator import routes, subscriptions, v2
from revline.connectors.stripe.simulator.account import API_VERSION, Account, Rules
from revline.connectors.stripe.simulator.webhooks import Outbox
from revline.connectors.stripe.simulator.wire import StripeError, Wire, expand, form

KEY_LENGTH_MAX: Final = 255
KEYS_MAX: Final = 100_000
FAULTS: Final = frozenset(
    {
        "throttle",
        "fail",
        "lose_answer",
        "drop_webhook",
        "double_webhook",
        "reorder_webhooks",
        "refuse_key",
        "conflict",
        "judge_later",
    }
)


class Fault(msgspec.Struct, kw_only=True):
    """Something that goes wrong on demand. kind: one of FAULTS. times: how often. path: beginning of the paths it strikes."""

    kind: str
    times: int = 1
    path: str = ""
    struck: int = 0


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    request: str
    answer: Answer


class SimulatedStripe:
    """One account behind its API. key: the secret API key; clock: unix seconds."""

    def __init__(self, *, key: str, clock: Callable[[], int], rules: Rules | None = None) -> None:
        self._key, self._clock, self._ahead = key, clock, 0
        self.account = Account(clock=self.now, rules=rules)
        self.faults: list[Fault] = []
        self.outbox = Outbox(account=self.account, fault=self._strikes)
        self.calls: dict[str, int] = {}
        self._kept: dict[str, _Kept] = {}
        self._requests = 0

    def now(self) -> int:
        """The account's time: the clock's, and what it was sent ahead."""
        return self._clock() + self._ahead

    def advance(self, seconds: int) -> None:
        """Let time pass for everything without a test clock."""
        until = self.now() + seconds

        def turn(moment: int) -> None:
            self._ahead += max(moment - self.now(), 0)

        subscriptions.run_until(self.account, until=until, clock=None, turn=turn)
        turn(until)
        self.outbox.collect()

    def add_fault(self, kind: str, *, times: int = 1, path: str = "") -> None:
        """Have something go wrong the next times."""
        if kind not in FAULTS:
            raise ValueError(f"{kind} is no fault; one of {', '.join(sorted(FAULTS))}")
        self.faults.append(Fault(kind=kind, times=times, path=path))

    def call(self, *, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One call. headers: names in lower case."""
        self._requests += 1
        request = f"req_sim{self._requests:010d}"
        path, _, query = target.partition("?")
        self.calls[f"{method} {path}"] = self.calls.get(f"{method} {path}", 0) + 1
        given = (("request-id", request), ("stripe-version", API_VERSION), ("content-type", "application/json"))
        try:
            made = self._call(method, path, query, headers, body, request)
        except StripeError as error:
            wire = error.body()
            wire["error"]["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request}"
            extra = (("stripe-should-retry", "true"), ("retry-after", "1")) if error.status == 429 else ()
            made = Answer(status=error.status, body=_bytes(wire), headers=extra)
        self.outbox.collect()
        lost = made.lost or (method == "POST" and made.status < 300 and self._strikes("lose_answer", path))
        return msgspec.structs.replace(made, headers=(*given, *made.headers), lost=lost)

    def _call(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, request: str
    ) -> Answer:
        self._authenticate(headers, path)
        if self._strikes("judge_later", path):
            self.account.metering.judged_later += 1
        if self._strikes("throttle", path):
            raise StripeError(
                "Too many requests hit the API too quickly.", status=429, kind="rate_limit_error", code="rate_limit"
            )
        key = headers.get("idempotency-key", "") if method == "POST" else ""
        digest = hashlib.sha256(b"\n".join([method.encode(), path.encode(), body])).hexdigest()
        kept = self._kept.get(key)
        if key and kept is not None:
            if kept.request != digest:
                detail = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used with"
                )
                raise StripeError(f"{detail}: '{key}'.", kind="idempotency_error")
            return msgspec.structs.replace(kept.answer, headers=(("idempotent-replayed", "true"),))
        if self._strikes("conflict", path):
            raise StripeError(
                "There is currently another request in progress with this key.", status=409, kind="idempotency_error"
            )
        if self._strikes("fail", path):
            raise StripeError("An unknown error occurred", status=500, kind="api_error")
        made = self._effect(method, path, query, headers, body, request)
        if key and len(self._kept) < KEYS_MAX:
            self._kept[key] = _Kept(request=digest, answer=made)
        return made

    def _effect(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, request: str
    ) -> Answer:
        """The call itself. A refusal after authentication and limits is kept under its key, as success is."""
        if path.startswith(v2.PREFIX):
            return self._second(method, path, query, body)
        try:
            text = body.decode() if method == "POST" else query
            given = form(f"{query}&{text}" if method == "POST" and query else text)
        except UnicodeDecodeError:
            raise StripeError("Invalid request: the body is not UTF-8") from None
        paths = given.pop("expand", [])
        self.account.request, self.account.request_key = request, headers.get("idempotency-key") or None
        try:
            found: Wire = routes.answer(self.account, method=method, path=path, given=given)
        except StripeError as error:
            if method == "POST" and headers.get("idempotency-key"):
                return Answer(status=error.status, body=_bytes(error.body()))
            raise
        finally:
            self.account.request, self.account.request_key = "", None
        wanted = [str(one) for one in paths] if isinstance(paths, list) else [str(paths)]
        return Answer(status=200, body=_bytes(expand(found, wanted, self.account.find)))

    def _second(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """A call of the API's second version."""
        given = v2.body_of(body) if method == "POST" else form(query)
        return Answer(status=200, body=_bytes(v2.answer(self.account, method=method, path=path, given=given)))

    def _authenticate(self, headers: Mapping[str, str], path: str) -> None:
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if path == v2.STREAM:
            v2.admits(self.account, token=given)
            return
        if not secrets.compare_digest(given.encode(), self._key.encode()) or self._strikes("refuse_key", path):
            raise StripeError("Invalid API Key provided: sk_****", status=401)
        if len(headers.get("idempotency-key", "")) > KEY_LENGTH_MAX:
            raise StripeError("Idempotency keys can be up to 255 characters long.", kind="idempotency_error")

    def _strikes(self, kind: str, path: str = "") -> bool:
        fault = next((one for one in self.faults if one.kind == kind and path.startswith(one.path)), None)
        if fault is None:
            return False
        fault.struck += 1
        if fault.struck >= fault.times:
            self.faults.remove(fault)
        return True


def _bytes(value: Wire) -> bytes:
    return json.dumps(value, indent=2).encode()
