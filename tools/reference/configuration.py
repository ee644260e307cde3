"""Page of configuration: every kind with its fields, what conditions can see, and the named functions amounts come from."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import msgspec

from revline.app.kinds import registry
from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.events import EventKind, Payload
from revline.core.problem import Problem
from revline.subledger.posting.expressions import MONEY_FUNCTIONS
from revline.subledger.posting.functions import FUNCTIONS
from revline.subledger.posting.samples import sample_event
from revline.subledger.posting.variables import PAYLOAD_NAMES, event_variables
from tools.reference import markdown

ORDER: Final = ("Tenant", "LegalEntity", "Connection", "Book", "PeriodPolicy", "RateTable", "Mapping", "PostingRule")
LEAD: Final = """A configuration folder holds YAML documents, several in a file with `---` between. Each is

```yaml
apiVersion: revline/v1
kind: Connection
metadata: {name: stripe-us, tenant: acme}
spec: {}   # the fields below
```

A name is unique per tenant and kind. Amounts and rates are quoted text, never numbers; days are `YYYY-MM-DD`. `revline config
validate FOLDER` tells every error with file, line and what to write instead."""
DAY: Final = date(2026, 1, 1)


def render() -> str:
    """The page."""
    kinds = registry()
    parts = []
    for name in [*ORDER, *sorted(set(kinds.names()) - set(ORDER))]:
        kind = kinds.get(name)
        assert kind is not None
        parts += [_struct(each, top=each is kind.spec_type) for each in markdown.nested(kinds=[kind.spec_type])]
    parts += ["## What conditions can see", _variables(), "## Named amount functions", _functions()]
    return markdown.page(title="Configuration", lead=LEAD, parts=parts)


def _struct(kind: type[msgspec.Struct], *, top: bool) -> str:
    whole, _ = markdown.split_notes(kind=kind)
    heading = "##" if top else "###"
    body = markdown.struct_table(kind=kind, encoded=True)
    return "\n\n".join([f"{heading} {kind.__name__}", _in_file_words(whole), _in_file_words(body)])


def _in_file_words(text: str) -> str:
    """Field names of several words as they stand in files: effective_from is effectiveFrom."""
    return re.sub(r"(?<![`\w.])(effective)_(from|to)\b", lambda found: f"{found[1]}{found[2].title()}", text)


def _variables() -> str:
    sample = sample_event(kind=EventKind.PAYMENT_RECEIVED, currency="USD", day=DAY)
    assert not isinstance(sample, Problem)
    seen = event_variables(sample)
    rows: list[tuple[str, str, str]] = [("`event`", "always", ", ".join(map(markdown.code, seen["event"])))]
    for kind in Payload.__args__:
        tag = str(kind.__struct_config__.tag)
        names = [field.name for field in msgspec.structs.fields(kind) if field.name != "lines"]
        rows.append(
            (markdown.code(PAYLOAD_NAMES[tag]), f"{tag.replace('_', ' ')}", ", ".join(map(markdown.code, names)))
        )
    line = [field.name for field in msgspec.structs.fields(InvoiceLine) if field.name not in {"discounts", "taxes"}]
    rows.append(
        ("`line`", "`each: line` and `each: tax`", ", ".join(map(markdown.code, [*line, "discounted", "taxed"])))
    )
    tax = [field.name for field in msgspec.structs.fields(TaxAmount)]
    rows.append(("`tax`", "`each: tax`", ", ".join(map(markdown.code, tax))))
    note = (
        "Conditions (`when`) are CEL and choose only; arithmetic is refused. Amounts are text there and are compared exactly by "
        + ", ".join(f"`{name}(a, b)`" for name in sorted(MONEY_FUNCTIONS))
        + ". Days are ISO 8601 text, so `<` and `>=` order them."
    )
    return note + "\n\n" + markdown.table(columns=("Name", "Where", "Fields"), rows=rows)


def _functions() -> str:
    rows = [
        (
            markdown.code(found.name),
            markdown.code(found.each.value),
            ", ".join(markdown.code(event.value) for event in sorted(found.events)),
            found.meaning,
        )
        for found in FUNCTIONS.values()
    ]
    note = "`amount` of a rule's entry names one of these; `each` must be the one given here. Exact decimal, never rounded here."
    return note + "\n\n" + markdown.table(columns=("Function", "Each", "Events", "Meaning"), rows=rows)
