"""The same load under other start-up times, prices and penalties: one table."""

from collections.abc import Sequence

import msgspec

from planners.cost import Meter
from streams.preview.course import Course
from streams.scale_config import ScaleConfig

FACTORS = (0.5, 2.0)
SETTINGS, COSTS = ("start-up, s", "price", "penalty"), ("spend", "vs HPA", "vs static")
HEADS = (*SETTINGS, *COSTS, "breach min", "HPA's", "incidents", "HPA's")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the settings, and what ours and the HPA's rule made of them."""

    startup_s: float
    price: float
    penalty: float
    ours: Meter
    hpa: Meter
    static: Meter


def variations(config: ScaleConfig) -> list[ScaleConfig]:
    """Each of start-up time, price and penalty halved and doubled by itself."""
    return [
        msgspec.structs.replace(config, **{name: getattr(config, name) * factor})
        for name in ("startup_s", "price", "penalty")
        for factor in FACTORS
        if getattr(config, name) > 0.0
    ]


def case_of(config: ScaleConfig, course: Course) -> Case:
    """The row of a configuration and what came of it."""
    totals = course.totals
    return Case(
        startup_s=config.startup_s, price=config.price, penalty=config.penalty,
        ours=totals["actual"], hpa=totals["hpa"], static=totals["static"],
    )  # fmt: skip


def table(cases: Sequence[Case]) -> str:
    """The cases in text, a row each."""
    lines = ["".join(f"{head:>12}" for head in HEADS)]
    lines += ["".join(f"{cell:>12}" for cell in row(case)) for case in cases]
    return "\n".join(lines)


def row(case: Case) -> tuple[str, ...]:
    """The cells of one case."""
    ours, hpa = case.ours, case.hpa
    return (
        f"{case.startup_s:g}",
        f"{case.price:g}",
        f"{case.penalty:g}",
        f"{ours.spend:.1f}",
        _against(ours, hpa),
        _against(ours, case.static),
        f"{ours.breach_s / 60:.1f}",
        f"{hpa.breach_s / 60:.1f}",
        f"{ours.incidents}",
        f"{hpa.incidents}",
    )


def _against(ours: Meter, other: Meter) -> str:
    return "-" if other.spend <= 0.0 else f"{ours.spend / other.spend - 1.0:+.1%}"
