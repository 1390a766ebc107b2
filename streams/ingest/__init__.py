"""From records of the `metrics` topic to columns: formats, series rows, policies, admission."""

from streams.ingest.admission import NEVER, Admission, admit
from streams.ingest.batch import Batch, Columns, Reject
from streams.ingest.dead_letter import dead_letter
from streams.ingest.decode import Decoder
from streams.ingest.limits import Limits
from streams.ingest.series import SeriesIndex

__all__ = [
    "NEVER",
    "Admission",
    "Batch",
    "Columns",
    "Decoder",
    "Limits",
    "Reject",
    "SeriesIndex",
    "admit",
    "dead_letter",
]
