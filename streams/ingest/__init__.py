"""From records of the `metrics` topic to columns: formats, series rows, policies, admission."""

from streams.ingest.admission import NEVER, Admission, admit
from streams.ingest.batch import Batch, Columns, Reject
from streams.ingest.dead_letter import dead_letter
from streams.ingest.decode import Decoder
from streams.ingest.fetching import deliver_record_sets
from streams.ingest.kernels import compile_kernels
from streams.ingest.limits import Limits
from streams.ingest.record_set import RecordSet, offsets_of, timestamps_of
from streams.ingest.series import SeriesIndex

__all__ = [
    "NEVER",
    "Admission",
    "Batch",
    "Columns",
    "Decoder",
    "Limits",
    "RecordSet",
    "Reject",
    "SeriesIndex",
    "admit",
    "compile_kernels",
    "dead_letter",
    "deliver_record_sets",
    "offsets_of",
    "timestamps_of",
]
