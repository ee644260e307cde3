"""Asking for feedback beside an ERP document: what passes by itself runs again with its unit, the rest holds up nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from revline.core.documents import Document
from revline.feedback.record import Asking
from revline.platform.store.unit import Unit

DEADLOCK = OperationalError("INSERT INTO lane", None, psycopg.errors.DeadlockDetected("deadlock detected"))
DOCUMENTS = [cast("Document", object())]


class Failing:
    """A unit of work whose every statement fails in the same way."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.connection = self

    def begin_nested(self) -> AbstractContextManager[Any]:
        raise self.failure


def unit(failure: Exception) -> Unit:
    return cast("Unit", Failing(failure))


def test_a_deadlock_is_raised_where_the_unit_runs_again() -> None:
    asking = Asking(tells=lambda tenant_id: True)
    with pytest.raises(OperationalError):
        asking.derived(unit(DEADLOCK), tenant_id="birch", root_ids=["root"])
    with pytest.raises(OperationalError):
        asking.settled(unit(DEADLOCK), tenant_id="birch", documents=DOCUMENTS)


def test_what_does_not_pass_by_itself_undoes_nothing() -> None:
    asking = Asking(tells=lambda tenant_id: True)
    asking.derived(unit(ValueError("no")), tenant_id="birch", root_ids=["root"])
    asking.settled(unit(ValueError("no")), tenant_id="birch", documents=DOCUMENTS * 2)
