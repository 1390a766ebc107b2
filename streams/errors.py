"""The errors that a person can mend: the command line shows their text and no traceback."""

from aiokafka.errors import KafkaConnectionError, KafkaError

from actuators import ActuationError
from detectors.port import DetectorError
from planners.optimiser import ClusterError, SolverError
from planners.placement import CurveError, PlacementError, UnknownRuleError
from planners.rightsizing import UnknownSizerError
from schemas import SchemaError
from streams.backfill import BackfillError
from streams.backtest_rollout import ObservationError
from streams.config import ConfigError
from streams.console import ConsoleError
from streams.embedded import EmbeddedError
from streams.experiment_file import ExperimentError
from streams.exports import ExportError
from streams.matching import MatcherError
from streams.model_versions import MirrorError
from streams.notes import NoteError
from streams.ports import PortError
from streams.privileges import AccessError
from streams.produce import ProduceError
from streams.receive.errors import ReceiveError
from streams.tail import TailError
from streams.topics import TopicError
from streams.traces import TraceError
from streams.worker import WorkerError

EXPECTED = (
    AccessError,
    ActuationError,
    BackfillError,
    ClusterError,
    ConfigError,
    ConsoleError,
    CurveError,
    DetectorError,
    EmbeddedError,
    ExperimentError,
    ExportError,
    KafkaError,
    MatcherError,
    NoteError,
    MirrorError,
    ObservationError,
    OSError,
    PlacementError,
    PortError,
    ProduceError,
    ReceiveError,
    SchemaError,
    SolverError,
    TailError,
    TopicError,
    TraceError,
    UnknownRuleError,
    UnknownSizerError,
    WorkerError,
)


def in_words(error: Exception) -> str | None:
    """What to tell a person of `error`; None where it is a fault of the program."""
    if isinstance(error, KafkaConnectionError):
        return f"no Kafka broker answers; start it, or name another under kafka.brokers (-c FILE): {error}"
    return str(error) if isinstance(error, EXPECTED) else None
