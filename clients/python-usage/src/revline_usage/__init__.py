"""Sends usage events to Revline from product code: an outbox on disk, batches, retries, nothing lost and nothing counted twice."""

from revline_usage.events import NotAnEvent, Refused
from revline_usage.outbox import OutboxFull
from revline_usage.sender import Sender, SenderProblem
from revline_usage.transport import HttpTransport, Reply, Transport

__all__ = ["HttpTransport", "NotAnEvent", "OutboxFull", "Refused", "Reply", "Sender", "SenderProblem", "Transport"]
__version__ = "0.1.0"
