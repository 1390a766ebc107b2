"""What can be wrong with a push; each kind has its answer."""

# ruff: noqa: N818 - the names say what happened; the base carries the suffix


class ReceiveError(RuntimeError):
    """The receiver cannot run; the text says why and what to do."""


class PushError(Exception):
    """The base of all refusals of a push."""


class Unreadable(PushError):
    """The bytes are not what their content type says (400): mend the producer, a retry is no use."""


class TooLarge(PushError):
    """The request is larger than allowed (413): the producer must send less at once."""


class TooMuch(PushError):
    """The tenant sends faster than allowed (429): the producer should wait `after_s` and send it again."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class Busy(PushError):
    """The samples are not in Kafka, now (503): the producer should send them again."""
