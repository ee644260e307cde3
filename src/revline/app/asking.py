"""Questions wired: the rooms' answers over one database and the active configuration in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.hashing import plain
from revline.core.problem import Problem
from revline.derive.master_data import MasterQuestions
from revline.derive.questions import Questions
from revline.doors.answers import Answers
from revline.doors.api.ports import Key, Listing, Threads
from revline.doors.services import Services
from revline.platform.store.engine import Database
from revline.subledger.receivables.credit import CreditPolicy

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler


class Policies:
    """Implements derive's port `CreditPolicies`: the entity's own policy, else the one for every entity."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def credit_policy(self, *, tenant_id: str, entity: str) -> CreditPolicy | None:
        """None where no policy is configured."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return None
        by_entity = {each.spec.entity: each.spec for each in configuration.all(CreditPolicy).values()}
        return by_entity.get(entity) or by_entity.get("")


def answers_of(*, database: Database, directory: Directory, clock: Clock) -> Answers:
    """What doors ask."""
    return Answers(
        questions=Questions(
            database=database,
            configurations=directory,
            policies=Policies(directory),
            directory=directory,
            clock=clock,
        ),
        master=MasterQuestions(database=database, configurations=directory, directory=directory),
        configurations=directory,
        clock=clock,
    )


def question_routes(services: Services, threads: Threads) -> Sequence[HTTPRouteHandler]:
    """The API's routes of questions and of outbound messages."""
    # The server's libraries take longer to import than a worker takes to start; only the server needs them.
    from revline.doors.api.questions import QuestionRoutes, question_handlers  # noqa: PLC0415
    from revline.doors.api.webhook_deliveries import replay_handler  # noqa: PLC0415

    routes = QuestionRoutes(answers=services.answers, threads=threads)
    return [*question_handlers(routes), replay_handler(services=services, threads=threads)]


def webhook_deliveries(services: Services) -> Listing:
    """GET /v1/webhook-deliveries: messages to endpoints, oldest first; filter `state`."""
    return Listing(page=partial(_messages, services), filters=frozenset({"state"}))


def _messages(
    services: Services, *, tenant_id: str, after: Key | None, limit: int, filters: Mapping[str, str]
) -> Sequence[tuple[Mapping[str, Any], Key]]:
    place = (int(after[0]), int(after[1])) if after else (0, 0)
    page = services.outbound.page(tenant_id=tenant_id, state=filters.get("state", ""), after=place, limit=limit)
    return [(plain(one), at) for one, at in page]
