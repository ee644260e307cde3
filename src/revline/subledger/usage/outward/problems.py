"""What usage that is billed otherwise than expected means to whoever mends it: a code for each cause."""

from __future__ import annotations

from revline.core.problem import Mender, Retryable, define

define(
    code="usage.billed_quantity",
    title="Billing counted another quantity",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare the meter's events here and there; correct the invoice at billing, or the meter here, then retry the case.",
)
define(
    code="usage.billed_price",
    title="Billing used another price",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare both prices with the contract; correct the one that is wrong, then retry the case.",
)
define(
    code="usage.billed_tier",
    title="Billing spread the quantity over other tiers",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare the tiers, and graduated with volume; correct the price that is wrong, then retry the case.",
)
define(
    code="usage.billed_rounding",
    title="Billing rounded otherwise",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Set the price's rounding as billing rounds, or the tolerance's rounding units, then retry the case.",
)
define(
    code="usage.billed_too_early",
    title="Usage came after its invoice was finished",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Bill it with the next invoice or give it up; then waive the case with a reason.",
)
define(
    code="usage.billed_currency",
    title="Usage was billed in another currency",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare the currency of both prices with the contract; correct the one that is wrong, then retry the case.",
)
define(
    code="usage.billed_stranger",
    title="Usage was billed to a customer nobody told of",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Import the billing system's customers, then retry the cause.",
)
define(
    code="usage.billed_unmetered",
    title="A line of metered use can't be rated here",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name the meter or price in the connection's UsageBilling, or import its prices, then retry the cause.",
)
define(
    code="usage.billed_unused",
    title="Usage was billed that nobody made",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="See whether events are held or missing here, or were made up there; then retry the case.",
)
define(
    code="usage.used_unbilled",
    title="Usage was not billed in time",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="See whether the customer has a subscription with this price and the usage arrived at billing; then retry the case.",
)
define(
    code="usage.report_impossible",
    title="A charge can't be told to billing",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Bill what is missing by hand in the billing system, then waive the case with a reason.",
)
define(
    code="usage.report_final",
    title="Use that was told to billing can be taken back no more",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Credit it in the billing system, then waive the case with a reason.",
)
