"""What every door does with meters: how much a customer used so far, what is held, whose usage a subject is. Plain values out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.config import queries as configurations
from revline.subledger.usage.events import SUBJECT_BYTES_MAX
from revline.subledger.usage.versions import Window

if TYPE_CHECKING:  # what stands behind it is heavy, and made only when a door asks
    from revline.doors.services import Services
    from revline.subledger.usage.metering.values import MeterCatalogue

CUSTOMER: Final = "customer"

define(
    code="usage.customer_unknown",
    title="No source told of this customer",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name it as connection/outside id, as `revline trace` shows it; a customer that is not known yet has to come first.",
)
define(
    code="usage.mapping_invalid",
    title="This subject can't be mapped so",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give a subject of at most 256 bytes, a known customer, and a start before the end.",
)


def balance_of(
    services: Services, *, tenant_id: str, customer: str, window: Window, meter: str = ""
) -> dict[str, Any] | Problem:
    """What a customer (connection/outside id) used in a window, of one meter or of all, everything acknowledged so far included."""
    metering, catalogue = services.metering(), _catalogue(services, tenant_id)
    if isinstance(metering, Problem):
        return metering
    if isinstance(catalogue, Problem):
        return catalogue
    source = source_of(customer)
    if not metering.directory(tenant_id=tenant_id).knows(source):
        return problem("usage.customer_unknown", f"there is no customer {customer[:80]!r}", field="customer")
    names = (meter,) if meter else tuple(sorted(catalogue.meters))
    found = metering.live_balance(
        tenant_id=tenant_id, catalogue=catalogue, customer=source, windows=dict.fromkeys(names, window)
    )
    if isinstance(found, Problem):
        return found
    return {
        "customer": customer,
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "meters": [
            {
                "meter": each.meter,
                "group": dict(each.group),
                "quantity": format(each.quantity, "f"),
                "unit": each.unit,
                "events": each.events,
            }
            for each in found
        ],
    }


def held(services: Services, *, tenant_id: str) -> list[dict[str, Any]] | Problem:
    """Usage that is charged to nobody yet, by subject and type, most events first."""
    metering, catalogue = services.metering(), _catalogue(services, tenant_id)
    if isinstance(metering, Problem):
        return metering
    if isinstance(catalogue, Problem):
        return catalogue
    found = metering.held(tenant_id=tenant_id, catalogue=catalogue)
    if isinstance(found, Problem):
        return found
    return [
        {
            "subject": each.subject,
            "type": each.type,
            "reason": each.reason.value,
            "events": each.events,
            "first_at": each.first_at.isoformat(),
            "last_at": each.last_at.isoformat(),
        }
        for each in found
    ]


def map_subject(
    services: Services,
    *,
    tenant_id: str,
    subject: str,
    connection: str,
    customer: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    actor: str,
    reason: str,
) -> dict[str, Any] | Problem:
    """Events of a subject are a customer's (connection/outside id), or nobody's where customer is "": from and until when, or
    always. connection: of event types that name one for their subjects. Charges follow when they are next computed."""
    from revline.subledger.usage.metering.record import map_subject as write  # noqa: PLC0415 - with what it stands on

    metering = services.metering()
    if isinstance(metering, Problem):
        return metering
    wrong = not 0 < len(subject.encode()) <= SUBJECT_BYTES_MAX or "\0" in subject
    if wrong or (starts_at and ends_at and starts_at >= ends_at):
        return problem("usage.mapping_invalid", "the subject is empty or too long, or it ends before it starts")
    source = source_of(customer) if customer else None
    if source is not None and not metering.directory(tenant_id=tenant_id).knows(source):
        return problem("usage.customer_unknown", f"there is no customer {customer[:80]!r}", field="customer")
    with services.database.unit(
        tenants=[tenant_id],
        kind="map_subject",
        actor=actor,
        reason=reason,
        recorded_at=services.clock.now(),
    ) as unit:
        write(
            unit,
            tenant_id=tenant_id,
            subject=subject,
            connection=connection,
            customer=source,
            starts_at=starts_at,
            ends_at=ends_at,
        )
    return {"subject": subject, "customer": customer, "position": unit.positions[tenant_id]}


def source_of(customer: str) -> SourceObject:
    """connection/outside id as the customer it names."""
    connection, _, outside_id = customer.partition("/")
    return SourceObject(connection=connection, kind=CUSTOMER, outside_id=outside_id)


def _catalogue(services: Services, tenant_id: str) -> MeterCatalogue | Problem:
    from revline.subledger.usage.metering.values import catalogue_of  # noqa: PLC0415 - with what it stands on

    with services.database.read(tenants=[tenant_id]) as connection:
        found = configurations.active(connection, tenant_id=tenant_id, registry=services.registry)
    if found is None:
        return problem("configuration.missing", f"tenant {tenant_id} has no active configuration", field=tenant_id)
    return catalogue_of(found)
