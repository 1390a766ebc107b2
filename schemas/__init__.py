"""What travels on the topics: one small file per kind of message, no behaviour beyond encoding."""

from schemas.alert import Alert
from schemas.anomaly import Anomaly, Evidence
from schemas.command import Action, Command, Place, Promote, Rollback, Scale, SetTraffic
from schemas.cost import Cost, FleetCost
from schemas.dead_letter import DeadLetter
from schemas.event import (
    Deployment,
    Event,
    Feedback,
    KnownEvent,
    MaintenanceWindow,
    ReleaseOrder,
    Silence,
)
from schemas.flag import Flag
from schemas.forecast import Forecast
from schemas.incident import Cause, Incident
from schemas.message import Message, SchemaError, decode, encode
from schemas.model_version import ModelVersion
from schemas.outcome import Outcome, Status
from schemas.release_change import ReleaseChange
from schemas.sample import Sample, series_key
from schemas.signal import Signal

__all__ = [
    "Action",
    "Alert",
    "Anomaly",
    "Cause",
    "Command",
    "Cost",
    "DeadLetter",
    "Deployment",
    "Event",
    "Evidence",
    "Feedback",
    "Flag",
    "FleetCost",
    "Forecast",
    "Incident",
    "KnownEvent",
    "MaintenanceWindow",
    "Message",
    "ModelVersion",
    "Outcome",
    "Place",
    "Promote",
    "ReleaseChange",
    "ReleaseOrder",
    "Rollback",
    "Sample",
    "Scale",
    "SchemaError",
    "SetTraffic",
    "Signal",
    "Silence",
    "Status",
    "decode",
    "encode",
    "series_key",
]
