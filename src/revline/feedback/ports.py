"""What the way back asks of the rooms around it; wired in app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from revline.core.problem import Problem
from revline.feedback.kinds import Feedback, WebhookSubscription


class FeedbackConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's active configuration as the way back needs it.

    entities: source connection -> the entity it belongs to. pools: connection -> capacity pool id. endpoints: connections of the
    webhook connector.
    """

    version: int
    feedbacks: Mapping[str, Feedback]
    subscriptions: Mapping[str, WebhookSubscription]
    entities: Mapping[str, str]
    pools: Mapping[str, str]
    endpoints: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether anybody is to be told anything."""
        return bool(self.feedbacks or self.subscriptions)


class Configurations(Protocol):
    """The active configuration of a tenant, from memory or a quick read outside any open transaction."""

    def feedback_configuration(self, *, tenant_id: str) -> FeedbackConfiguration | Problem: ...
