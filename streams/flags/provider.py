"""The OpenFeature provider: any application's flags from the topic.

from openfeature import api
api.set_provider_and_wait(TidegateProvider(topic="flags", connection={"bootstrap_servers": "kafka:9092"}))
api.get_client().get_boolean_value("new-checkout", False, EvaluationContext(targeting_key=user))
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from streams.config import ConfigError

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.event import ProviderEventDetails
    from openfeature.exception import ErrorCode, GeneralError
    from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ModuleNotFoundError as error:  # pragma: no cover - depends on the installation
    raise ConfigError('flags need an extra: pip install "tidegate[flags]"') from error

from streams.flags.book import FlagBook
from streams.flags.rules import choose

T = TypeVar("T")

PATIENCE_S = 10.0


class TidegateProvider(AbstractProvider):
    """Evaluates flags by rules on a compacted topic; a percentage is the step of a canary.

    The unit is the context's targeting key. `connection` are aiokafka's keyword arguments, `patience_s` is
    how long it may take to read what is on the topic. Without Kafka, what was read last holds.
    """

    def __init__(self, *, topic: str, connection: Mapping[str, Any], patience_s: float = PATIENCE_S) -> None:
        super().__init__()
        self._topic = topic
        self._patience_s = patience_s
        self._book = FlagBook(topic, connection, self._tell)

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(name="tidegate")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Read what is on the topic.

        Raises:
            GeneralError: it could not be read in time; reading goes on, and defaults hold until then.
        """
        if not self._book.start(self._patience_s):
            raise GeneralError(f"topic {self._topic} was not read within {self._patience_s:g} s")

    def shutdown(self) -> None:
        """Stop reading."""
        self._book.stop()

    def _tell(self, keys: list[str]) -> None:
        self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=keys))

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A flag whose variants are true and false."""
        return self._resolve(flag_key, default_value, (bool,), evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag whose variants are texts."""
        return self._resolve(flag_key, default_value, (str,), evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag whose variants are whole numbers."""
        return self._resolve(flag_key, default_value, (int,), evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A flag whose variants are numbers."""
        return self._resolve(flag_key, default_value, (float, int), evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """A flag whose variants are JSON objects or lists."""
        return self._resolve(flag_key, default_value, (dict, list), evaluation_context)

    def _resolve(
        self, key: str, default: T, kinds: tuple[type, ...], context: EvaluationContext | None
    ) -> FlagResolutionDetails[T]:
        flag = self._book.get(key)
        if flag is None:
            return FlagResolutionDetails(
                default, error_code=ErrorCode.FLAG_NOT_FOUND, error_message=f"no flag {key} on the topic",
                reason=Reason.ERROR,
            )  # fmt: skip
        chosen = choose(flag, context.targeting_key if context is not None else None)
        fits = isinstance(chosen.value, kinds) and (bool in kinds or not isinstance(chosen.value, bool))
        if not fits:
            wanted = " or ".join(kind.__name__ for kind in kinds)
            return FlagResolutionDetails(
                default, error_code=ErrorCode.TYPE_MISMATCH, reason=Reason.ERROR,
                error_message=f"flag {key}, variant {chosen.variant}: {chosen.value!r} is not {wanted}",
            )  # fmt: skip
        reason = Reason.SPLIT if chosen.split else Reason.STATIC if flag.enabled else Reason.DISABLED
        return FlagResolutionDetails(chosen.value, variant=chosen.variant, reason=reason)
