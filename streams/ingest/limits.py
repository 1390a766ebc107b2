"""How much of what a producer may send, and how far its clock may be off."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on one partition's input; what crosses one is refused or dropped as docs/ingest.md says.

    Times are milliseconds, sizes of names and label values are characters, `max_record_bytes` is bytes.
    `max_age_ms` None accepts samples however old. `max_series` counts the live series of one partition.
    `max_prefixes` bounds the memory of the fast path, which keeps about 130 bytes for each.
    """

    max_future_ms: int = 10 * 60 * 1000
    max_age_ms: int | None = None
    max_metric: int = 255
    max_labels: int = 64
    max_label_name: int = 128
    max_label_value: int = 1024
    max_series: int = 1_000_000
    max_record_bytes: int = 16 * 1024 * 1024
    max_prefixes: int = 1_500_000
