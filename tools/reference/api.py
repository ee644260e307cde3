"""Page of the API: every operation with its parameters, bodies and answers, from the description the server itself gives."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.doors.api.app import OPENAPI_PATH, create_app
from revline.platform.settings import Settings, load
from tools.reference import markdown

LEAD: Final = f"""The server describes itself in OpenAPI 3.1 at `GET {OPENAPI_PATH}/openapi.json`; this page is made from that.
A request takes an API key as `Authorization: Bearer rk_...` unless it says otherwise. Whatever is refused is answered with a
problem document (RFC 9457) whose `code` stands in [problems](errors.md); `X-Correlation-Id` names the request in the logs. Amounts
are strings."""


def render() -> str:
    """The page."""
    document = _document()
    schemas = document.get("components", {}).get("schemas", {})
    parts: list[str] = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(f"{method.upper()} {path}", operation))
    parts.append("## Bodies")
    parts += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return markdown.page(title="API", lead=LEAD, parts=parts)


def _document() -> dict[str, Any]:
    """The description of the API as the server wires it; nothing is connected to make it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"REVLINE_DSN": "postgresql://nobody@127.0.0.1:1/nothing", "REVLINE_DATA_FOLDER": folder}
        settings = load(environment=environment)
        assert isinstance(settings, Settings)
        Path(folder).mkdir(exist_ok=True)
        runtime = open_runtime(settings)
        assert isinstance(runtime, Runtime)
        try:
            document: dict[str, Any] = create_app(api_ports(runtime)).litestar.openapi_schema.to_schema()
        finally:
            runtime.services.close()
        return document


def _operation(title: str, operation: Mapping[str, Any]) -> str:
    parameters = [
        (
            markdown.code(one["name"]),
            one["in"],
            _type(one.get("schema", {})),
            "required" if one.get("required") else _default(one.get("schema", {})),
        )
        for one in operation.get("parameters", ())
    ]
    bodies = [
        (markdown.code(media), _type(content.get("schema", {})))
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    answers = [
        (status, _answer(answer), answer.get("description", ""))
        for status, answer in sorted(operation.get("responses", {}).items())
    ]
    public = "Takes no key." if operation.get("security") == [] else ""
    parts = (
        f"## {title}",
        " ".join(text for text in (_sentence(operation.get("summary", "")), public) if text),
        operation.get("description", ""),
        markdown.table(columns=("Parameter", "In", "Type", "Default"), rows=parameters),
        markdown.table(columns=("Sent as", "Body"), rows=bodies),
        markdown.table(columns=("Answer", "Body", "Meaning"), rows=answers),
    )
    return "\n\n".join(part for part in parts if part)


def _answer(answer: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{_type(content.get('schema', {}))} as {markdown.code(media)}"
        for media, content in answer.get("content", {}).items()
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    values = _type(schema) if "properties" not in schema else ""
    rows = [
        (markdown.code(field), _type(one), "required" if field in required else _default(one))
        for field, one in schema.get("properties", {}).items()
    ]
    table = markdown.table(columns=("Field", "Type", "Default"), rows=rows)
    return "\n\n".join(part for part in (f"### {name}", schema.get("description", ""), values, table) if part)


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in words; a named one is linked."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(markdown.code(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    kind = schema.get("title") or schema.get("type") or "anything"
    return " ".join([" or ".join(kind) if isinstance(kind, list) else str(kind), *bounds])


def _default(schema: Mapping[str, Any]) -> str:
    return markdown.code(schema["default"]) if schema.get("default") not in {None, ""} else "none"


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}." if text else ""
