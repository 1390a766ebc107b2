"""Detectors by name, as the configuration asks for them."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import cast

from detectors.budget import Budget
from detectors.ewma_z import ewma_z_bank
from detectors.port import Bank, GroupBank, TunableBank, UnknownDetectorError
from detectors.river_bank import RiverBank
from detectors.river_groups import RiverGroupBank
from detectors.river_models import PREFIXES as RIVER_PREFIXES
from detectors.river_models import known_river_models, river_model
from detectors.tidegate import tidegate_bank
from detectors.tuned import TunedBank, TunedGroupBank
from detectors.with_groups import WithGroups

DEFAULT_MODEL = "tidegate"
ALARMS_PER_SERIES_DAY = 1 / 7

_NATIVE: Mapping[str, Callable[..., Bank]] = {"tidegate": tidegate_bank, "ewma-z": ewma_z_bank}


def known_models() -> tuple[str, ...]:
    """The names that `make_bank` takes: native ones, then River's."""
    return (*_NATIVE, *known_river_models())


def native_models() -> tuple[str, ...]:
    """The names of the native detectors: columnar, compiled, dumped without a key."""
    return tuple(_NATIVE)


def make_bank(
    model: str = DEFAULT_MODEL,
    params: Mapping[str, object] | None = None,
    *,
    alarms_per_series_day: float = ALARMS_PER_SERIES_DAY,
    key: bytes | None = None,
    budget: Budget | None = None,
) -> TunableBank:
    """A fresh bank of `model`, calibrated to an alarm rate; people may move its rows' thresholds.

    `model` is a name of `known_models`, or a River anomaly or drift detector by its dotted name
    ("river.anomaly.HalfSpaceTrees"), whose state needs `key` to be dumped and loaded, or a factory of
    your own as "module:function". `params` are the model's own keyword parameters. `budget` bounds the time
    that the River model of a series may take; the others need none.

    Raises:
        UnknownDetectorError: no such model or parameter; the text lists the known ones.
        ValueError: a parameter has a value that the model refuses.
    """
    _check_rate(alarms_per_series_day)
    if model.startswith(RIVER_PREFIXES):
        build = river_model(model, params or {})
        rate = alarms_per_series_day
        return TunedBank(RiverBank(model, build, alarms_per_series_day=rate, key=key, budget=budget))
    return TunedBank(_called(_NATIVE.get(model) or _own(model), model, params, alarms_per_series_day))


def make_group_bank(
    model: str,
    params: Mapping[str, object] | None = None,
    *,
    alarms_per_series_day: float = ALARMS_PER_SERIES_DAY,
    key: bytes | None = None,
    budget: Budget | None = None,
) -> TunedGroupBank:
    """A fresh bank of `model` that watches groups of series together, see `detectors.port.GroupBank`.

    `model` is a River anomaly detector by its dotted name, or your own factory of a `GroupBank` as
    "module:function". The alarm rate is that of a group. Otherwise as `make_bank`.

    Raises:
        UnknownDetectorError: no such model or parameter, or one that cannot watch groups.
        ValueError: a parameter has a value that the model refuses.
    """
    _check_rate(alarms_per_series_day)
    if model.startswith(RIVER_PREFIXES):
        build = river_model(model, params or {})
        return TunedGroupBank(
            RiverGroupBank(model, build, alarms_per_series_day=alarms_per_series_day, key=key, budget=budget)
        )
    bank = _called(_NATIVE.get(model) or _own(model), model, params, alarms_per_series_day)
    if not isinstance(bank, GroupBank):
        raise UnknownDetectorError(f"{model} looks at one series at a time: it cannot watch groups")
    return TunedGroupBank(bank)


def _check_rate(alarms_per_series_day: float) -> None:
    if not 0.0 < alarms_per_series_day < 1440.0:
        raise ValueError(
            f"alarms_per_series_day is {alarms_per_series_day}, expected more than 0 and below 1440"
        )


def _called(build: Callable[..., Bank], model: str, params: Mapping[str, object] | None, rate: float) -> Bank:
    """What the factory of a native detector or of a user's own makes; refuses parameters it does not take."""
    given = dict(params or {})
    accepted = [name for name in inspect.signature(build).parameters if name != "alarms_per_series_day"]
    if unknown := sorted(set(given) - set(accepted)):
        takes = ", ".join(accepted) or "none"
        raise UnknownDetectorError(f"{model} has no parameter {unknown[0]!r}: it takes {takes}")
    return build(alarms_per_series_day=rate, **given)


def _own(model: str) -> Callable[..., Bank]:
    """The factory that "module:function" names."""
    module, colon, function = model.partition(":")
    if not colon:
        known = ", ".join(known_models())
        raise UnknownDetectorError(f"unknown detector {model!r}: known are {known}, or module:function")
    try:
        build = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownDetectorError(f"detector {model!r} cannot be imported: {error}") from error
    if not callable(build):
        raise UnknownDetectorError(f"detector {model!r} is not a function that makes a bank")
    return cast(Callable[..., Bank], build)


def with_groups(
    bank: TunableBank,
    model: str,
    params: Mapping[str, object] | None = None,
    *,
    alarms_per_series_day: float = ALARMS_PER_SERIES_DAY,
    key: bytes | None = None,
    budget: Budget | None = None,
) -> WithGroups:
    """`bank`, and beside it one of groups, as `make_group_bank` makes it; raises what that raises.

    Raises also:
        StateError: there is no key, without which the state of groups could not be kept.
    """
    groups = make_group_bank(
        model, params, alarms_per_series_day=alarms_per_series_day, key=key, budget=budget
    )
    groups.dump(0, 0)
    return WithGroups(bank, groups)
