"""The way back wired: who is told what, by each tenant's active configuration in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from revline.app.directory import Directory, pool_id
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.doors.outbound import Outbound
from revline.feedback.kinds import Feedback, WebhookSubscription
from revline.feedback.ports import FeedbackConfiguration
from revline.feedback.record import Asking, ask
from revline.feedback.values import WEBHOOK
from revline.platform.cases.service import RetryHandler
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection


class FeedbackDirectory:
    """Implements the way back's port `Configurations`. Safe for threads; made once a version."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._made: dict[str, FeedbackConfiguration] = {}

    def feedback_configuration(self, *, tenant_id: str) -> FeedbackConfiguration | Problem:
        """As of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        with self._lock:
            made = self._made.get(tenant_id)
            if made is not None and made.version == configuration.version:
                return made
        connections = configuration.all(Connection)
        made = FeedbackConfiguration(
            version=configuration.version,
            feedbacks={name: each.spec for name, each in configuration.all(Feedback).items()},
            subscriptions={name: each.spec for name, each in configuration.all(WebhookSubscription).items()},
            entities={name: each.spec.entity for name, each in connections.items()},
            pools={
                name: pool_id(tenant_id=tenant_id, name=name, pool=each.spec.pool) for name, each in connections.items()
            },
            endpoints=tuple(sorted(name for name, each in connections.items() if each.spec.connector == WEBHOOK)),
        )
        with self._lock:
            self._made[tenant_id] = made
        return made

    def tells(self, tenant_id: str) -> bool:
        """Whether a tenant has anybody to tell."""
        found = self.feedback_configuration(tenant_id=tenant_id)
        return not isinstance(found, Problem) and found.tells

    def asking(self) -> Asking:
        """What delivery and derive tell of their work."""
        return Asking(tells=self.tells)


def outbound_of(*, database: Database, directory: Directory, clock: Clock) -> Outbound:
    """What doors do with outbound messages."""
    return Outbound(database=database, configurations=FeedbackDirectory(directory), clock=clock)


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How a root whose feedback failed is tried again."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="retry", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            ask(unit, tenant_id=tenant_id, root_ids=subject_ids)
        return len(subject_ids)

    return retry
