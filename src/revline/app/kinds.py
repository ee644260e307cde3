"""Every configuration kind there is, with the room that owns its type."""

from __future__ import annotations

from revline.delivery.kinds import Mapping, check_mapping
from revline.feedback.kinds import Feedback, WebhookSubscription, check_feedback, check_subscription
from revline.intake.corrections import CorrectionPolicy, check_policy
from revline.platform.config.registry import KindType, Registry
from revline.platform.tenancy.kinds import (
    Connection,
    LegalEntity,
    Tenant,
    check_connection,
    check_entity,
    check_tenant,
)
from revline.subledger.posting.checks import check_book, check_period_policy, check_rates
from revline.subledger.posting.kinds import Book, PeriodPolicy, PostingRule, RateTable
from revline.subledger.posting.rulechecks import check_rule
from revline.subledger.receivables.credit import CreditPolicy, check_credit_policy
from revline.subledger.usage.charges.policy import UsagePolicy, check_usage_policy
from revline.subledger.usage.commitments import Commitment, check_commitment
from revline.subledger.usage.credits.plans import CreditPlan, check_plan
from revline.subledger.usage.kinds import EventType, check_event_type
from revline.subledger.usage.metering.checks import check_meter
from revline.subledger.usage.metering.kinds import Meter
from revline.subledger.usage.outward.kinds import UsageBilling, check_usage_billing
from revline.subledger.usage.rating.checks import check_usage_price
from revline.subledger.usage.rating.kinds import UsagePrice


def registry() -> Registry:
    """The closed list of kinds a configuration folder may hold."""
    kinds = Registry()
    kinds.register(KindType(name="Tenant", spec_type=Tenant, tenant_scoped=False, check=check_tenant))
    kinds.register(KindType(name="LegalEntity", spec_type=LegalEntity, check=check_entity))
    kinds.register(KindType(name="Connection", spec_type=Connection, check=check_connection))
    kinds.register(KindType(name="Book", spec_type=Book, check=check_book))
    kinds.register(KindType(name="PostingRule", spec_type=PostingRule, check=check_rule))
    kinds.register(KindType(name="RateTable", spec_type=RateTable, check=check_rates))
    kinds.register(KindType(name="PeriodPolicy", spec_type=PeriodPolicy, check=check_period_policy))
    kinds.register(KindType(name="Mapping", spec_type=Mapping, check=check_mapping))
    kinds.register(KindType(name="CorrectionPolicy", spec_type=CorrectionPolicy, check=check_policy))
    kinds.register(KindType(name="Feedback", spec_type=Feedback, check=check_feedback))
    kinds.register(KindType(name="WebhookSubscription", spec_type=WebhookSubscription, check=check_subscription))
    kinds.register(KindType(name="CreditPolicy", spec_type=CreditPolicy, check=check_credit_policy))
    kinds.register(KindType(name="EventType", spec_type=EventType, check=check_event_type))
    kinds.register(KindType(name="Meter", spec_type=Meter, check=check_meter))
    kinds.register(KindType(name="UsagePolicy", spec_type=UsagePolicy, check=check_usage_policy))
    kinds.register(KindType(name="UsagePrice", spec_type=UsagePrice, check=check_usage_price))
    kinds.register(KindType(name="Commitment", spec_type=Commitment, check=check_commitment))
    kinds.register(KindType(name="CreditPlan", spec_type=CreditPlan, check=check_plan))
    kinds.register(KindType(name="UsageBilling", spec_type=UsageBilling, check=check_usage_billing))
    return kinds
