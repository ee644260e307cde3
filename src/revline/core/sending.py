"""Whether a request may still be sent: answered by whoever asked for a call, asked again right before its body leaves.

Between the two a process can be stopped for as long as somebody likes, and meanwhile another may have taken over what it was about
to send. Knows neither wire nor lease.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

MAY_SEND: Final[ContextVar[Callable[[], bool] | None]] = ContextVar("may_send", default=None)
"""Of the call under way in this context; None: nobody takes it over. A connector that writes requests itself asks it too."""
