"""Outbound messages for doors: their list, replay, a test message. Knows no door."""

from __future__ import annotations

from dataclasses import dataclass

from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.feedback import replaying
from revline.feedback.ports import Configurations
from revline.feedback.replaying import Replayed, WebhookDelivery
from revline.platform.store.engine import Database


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """What doors do with messages to endpoints."""

    database: Database
    configurations: Configurations
    clock: Clock

    def page(
        self, *, tenant_id: str, state: str = "", after: tuple[int, int] = (0, 0), limit: int = 100
    ) -> tuple[tuple[WebhookDelivery, tuple[int, int]], ...]:
        """Messages to the tenant's endpoints, oldest first; none without a configuration."""
        configuration = self.configurations.feedback_configuration(tenant_id=tenant_id)
        endpoints = () if isinstance(configuration, Problem) else configuration.endpoints
        with self.database.read(tenants=[tenant_id]) as connection:
            return replaying.list_messages(
                connection, tenant_id=tenant_id, endpoints=endpoints, state=state, after=after, limit=limit
            )

    def replay(self, *, tenant_id: str, delivery_id: str, actor: str, reason: str) -> Replayed | Problem:
        """Send one again under its own message id."""
        configuration = self.configurations.feedback_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        return replaying.replay(
            self.database,
            tenant_id=tenant_id,
            delivery_id=delivery_id,
            configuration=configuration,
            actor=actor,
            reason=reason,
            recorded_at=self.clock.now(),
        )

    def test(self, *, tenant_id: str, subscription: str, actor: str) -> Replayed | Problem:
        """Send a test message to a subscription's endpoint."""
        configuration = self.configurations.feedback_configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        return replaying.send_test(
            self.database,
            tenant_id=tenant_id,
            subscription=subscription,
            configuration=configuration,
            actor=actor,
            recorded_at=self.clock.now(),
        )
