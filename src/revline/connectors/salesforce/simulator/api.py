"""The simulated org behind its REST addresses: log-in, records, queries, composite, limits, streaming. Knows no socket.

Source: REST API developer guide; error bodies are arrays of {message, errorCode, fields}.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from revline.connectors.salesforce.simulator.bayeux import Bayeux
from revline.connectors.salesforce.simulator.faults import Fault, Faults
from revline.connectors.salesforce.simulator.login import Logins
from revline.connectors.salesforce.simulator.org import Org, OrgError
from revline.connectors.salesforce.simulator.queries import Queries
from revline.core.exact_json import parse
from revline.core.problem import Problem

COMPOSITE_MAX: Final = 25
COLLECTION_MAX: Final = 200
BODY_BYTES_MAX: Final = 8_000_000
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_CLIENT: Final = re.compile(r"client=([^;,\s]+)", re.IGNORECASE)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. headers: names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def client(self) -> str:
        """What the caller calls itself (Sforce-Call-Options)."""
        found = _CLIENT.search(self.headers.get("sforce-call-options", ""))
        return found[1] if found else ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One response. body: to be written as JSON, None for none, bytes as they are. idle: a connect that may be held."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    lost: bool = False
    idle: bool = False


class Api:
    """One org's addresses. calls: every call that was answered, for tests: (method, path)."""

    def __init__(self, *, org: Org, logins: Logins) -> None:
        self.org = org
        self.logins = logins
        self.faults = Faults()
        self.queries = Queries(org=org)
        self.streaming = Bayeux(changes=org.changes)
        self.calls: list[tuple[str, str]] = []

    def handle(self, *, call: Call) -> Answer:
        """What one call comes to."""
        self.calls.append((call.method, call.path))
        fault = self.faults.next_for(method=call.method, path=call.path)
        if fault is not None and not (fault.lost or fault.malformed):
            return self._fault(fault)
        try:
            answer = self._route(call)
        except OrgError as error:
            answer = Answer(status=error.status, body=error.body())
        if call.path.startswith("/services/data/"):
            used = f"api-usage={len(self.calls)}/{self.org.behaviour.api_limit}"
            answer = msgspec.structs.replace(answer, headers={**answer.headers, "Sforce-Limit-Info": used})
        if fault is not None and fault.malformed:
            return msgspec.structs.replace(answer, body=b"<html>maintenance</html>")
        return msgspec.structs.replace(answer, lost=fault is not None and fault.lost)

    def _fault(self, fault: Fault) -> Answer:
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
        return Answer(status=fault.status, body=self.faults.body(fault), headers=headers)

    def _route(self, call: Call) -> Answer:
        if call.path == "/services/oauth2/token":
            return self._token(call)
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.logins.holds(token=token):
            return self._unauthorized(call)
        if call.path.startswith("/cometd/"):
            return self._stream(call)
        version = f"/services/data/v{self.org.behaviour.api_version}"
        if not call.path.startswith(version):
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        return self._rest(call, [unquote(part) for part in call.path[len(version) :].strip("/").split("/")])

    def _token(self, call: Call) -> Answer:
        form = {}
        for pair in call.body.decode("utf-8", "replace").split("&"):
            name, _, value = pair.partition("=")
            form[name] = unquote(value.replace("+", " "))
        user, password = _basic(call.headers.get("authorization", ""))
        form.setdefault("client_id", user)
        form.setdefault("client_secret", password)
        status, body = self.logins.token(form=form, host=call.headers.get("host", ""))
        return Answer(status=status, body=body)

    def _unauthorized(self, call: Call) -> Answer:
        if call.path.startswith("/cometd/"):
            error = {"channel": "/meta/handshake", "successful": False, "error": "401::Authentication invalid"}
            return Answer(status=401, body=[error])
        raise OrgError(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def _stream(self, call: Call) -> Answer:
        messages = self._json(call)
        messages = messages if isinstance(messages, list) else [messages]
        replies, idle = self.streaming.answer(messages=messages)
        return Answer(status=200, body=replies, idle=idle)

    def _rest(self, call: Call, parts: list[str]) -> Answer:
        match parts:
            case ["limits"]:
                most = self.org.behaviour.api_limit
                return Answer(status=200, body={"DailyApiRequests": {"Max": most, "Remaining": most - len(self.calls)}})
            case ["query"] | ["queryAll"]:
                text, deleted = call.query.get("q", ""), parts[0] == "queryAll"
                return Answer(status=200, body=self.queries.run(text=text, deleted=deleted))
            case ["query" | "queryAll", locator]:
                return Answer(status=200, body=self.queries.more(locator=locator))
            case ["composite"]:
                return self._composite(call)
            case ["composite", "sobjects"]:
                return self._collection(call)
            case ["sobjects"]:
                names = [{"name": name, "queryable": True} for name in self.org.schema]
                return Answer(status=200, body={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": names})
            case ["sobjects", name] if call.method == "POST":
                made = self.org.create(object_name=name, values=self._fields(call), client=call.client)
                return Answer(status=201, body={"id": made, "success": True, "errors": []})
            case ["sobjects", name, "describe"]:
                return Answer(status=200, body=self._describe(name))
            case ["sobjects", name, record_id]:
                return self._record(call, name, record_id)
            case ["sobjects", name, field, value]:
                return self._by_external_id(call, name, field, value)
        raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")

    def _record(self, call: Call, name: str, record_id: str) -> Answer:
        if call.method == "GET":
            record = self.org.record(object_name=name, record_id=record_id)
            if record["IsDeleted"]:
                raise OrgError(404, "ENTITY_IS_DELETED", "entity is deleted")
            fields = tuple(filter(None, call.query.get("fields", "").split(",")))
            return Answer(status=200, body=self.queries.shown(record=record, object_name=name, fields=fields))
        if call.method == "PATCH":
            self.org.update(object_name=name, record_id=record_id, values=self._fields(call), client=call.client)
            return Answer(status=204)
        if call.method == "DELETE":
            self.org.delete(object_name=name, record_id=record_id, client=call.client)
            return Answer(status=204)
        raise OrgError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed.")

    def _by_external_id(self, call: Call, name: str, field: str, value: str) -> Answer:
        if call.method == "PATCH":
            if len(self.org.by_external_id(object_name=name, field=field, value=value)) > 1:
                found = self.org.by_external_id(object_name=name, field=field, value=value)
                return Answer(status=300, body=[f"/services/data/sobjects/{name}/{one['Id']}" for one in found])
            record_id, made = self.org.upsert(
                object_name=name, field=field, value=value, values=self._fields(call), client=call.client
            )
            body = {"id": record_id, "success": True, "errors": [], "created": made}
            return Answer(status=201 if made else 200, body=body)
        found = self.org.by_external_id(object_name=name, field=field, value=value)
        if not found:
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        return Answer(status=200, body=self.queries.shown(record=found[0], object_name=name))

    def _composite(self, call: Call) -> Answer:
        requests = self._fields(call).get("compositeRequest", [])
        if not isinstance(requests, list) or len(requests) > COMPOSITE_MAX:
            raise OrgError(400, "LIMIT_EXCEEDED", f"at most {COMPOSITE_MAX} requests")
        results: list[dict[str, Any]] = []
        known: dict[str, Any] = {}
        for request in requests:
            path, _, query = str(request.get("url", "")).partition("?")
            path = re.sub(r"@\{(\w+)\.id\}", lambda found: quote(str(known.get(found[1], ""))), path)
            body = re.sub(
                rb"@\{(\w+)\.id\}",
                lambda found: str(known.get(found[1].decode(), "")).encode(),
                _ENCODER.encode(request.get("body") or {}),
            )
            pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
            inner = Call(
                method=str(request.get("method", "GET")),
                path=path,
                query={name: unquote(value.replace("+", " ")) for name, value in pairs.items()},
                headers=call.headers,
                body=body,
            )
            try:
                answer = self._route(inner)
            except OrgError as error:
                answer = Answer(status=error.status, body=error.body())
            reference = str(request.get("referenceId", ""))
            if isinstance(answer.body, dict) and "id" in answer.body:
                known[reference] = answer.body["id"]
            results.append({"body": answer.body, "httpStatusCode": answer.status, "referenceId": reference})
        return Answer(status=200, body={"compositeResponse": results})

    def _collection(self, call: Call) -> Answer:
        records = self._fields(call).get("records", [])
        if not isinstance(records, list) or len(records) > COLLECTION_MAX:
            raise OrgError(400, "LIMIT_EXCEEDED", f"at most {COLLECTION_MAX} records")
        results = []
        for record in records:
            name = str((record.pop("attributes", None) or {}).get("type", ""))
            record_id = str(record.pop("id", "") or record.pop("Id", ""))
            try:
                if call.method == "PATCH":
                    self.org.update(object_name=name, record_id=record_id, values=record, client=call.client)
                else:
                    record_id = self.org.create(object_name=name, values=record, client=call.client)
                results.append({"id": record_id, "success": True, "errors": []})
            except OrgError as error:
                wrong = {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}
                results.append({"success": False, "errors": [wrong]})
        return Answer(status=200, body=results)

    def _describe(self, name: str) -> dict[str, Any]:
        shape = self.org.schema.get(name)
        if shape is None:
            raise OrgError(404, "NOT_FOUND", "The requested resource does not exist")
        fields = [
            {
                "name": field.name,
                "type": field.kind,
                "referenceTo": [field.refers_to] if field.refers_to else [],
                "relationshipName": field.relationship or None,
                "externalId": field.external_id,
                "updateable": not field.set_by_org,
            }
            for field in shape.fields.values()
        ]
        children = [
            {"childSObject": child.child, "field": child.field, "relationshipName": child.name}
            for child in shape.children
        ]
        return {"name": name, "keyPrefix": shape.prefix, "fields": fields, "childRelationships": children}

    def _fields(self, call: Call) -> dict[str, Any]:
        value = self._json(call)
        if not isinstance(value, dict):
            raise OrgError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be an object")
        value.pop("attributes", None)
        return value

    def _json(self, call: Call) -> Any:
        value = parse(call.body, bytes_max=BODY_BYTES_MAX)
        if isinstance(value, Problem):
            raise OrgError(400, "JSON_PARSER_ERROR", value.detail)
        return value


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
