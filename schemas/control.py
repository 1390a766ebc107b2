"""What is passed on inside Tidegate, to the partitions that it concerns."""

from schemas.event import Feedback, MaintenanceWindow, Silence
from schemas.message import Message


class Control(Message, frozen=True, kw_only=True, tag="control/1"):
    """An event, and its place on `events`, by which one that is passed on twice is recognised."""

    partition: int
    offset: int
    event: Feedback | Silence | MaintenanceWindow


class Tick(Message, frozen=True, kw_only=True, tag="tick/1"):
    """It is `now` (Unix ms): told to a partition in which series would be silent for too long by now."""

    now: int
