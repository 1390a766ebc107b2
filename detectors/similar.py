"""What is said of a series too young for a verdict: that of the similar series' pooled model."""

from dataclasses import replace

import numpy as np

from detectors.port import I64, Scores


def judged_by_similar(own: Scores, pooled: Scores, at: I64) -> Scores:
    """`own`, where samples still learning have the score, band, verdict and evidence of `pooled`.

    `at` holds, per sample of `own`, the index of the same sample in `pooled`, -1 where it has none. Samples
    stay marked as learning. Where the pooled model is learning too, nothing changes.
    """
    young = np.flatnonzero(own.learning & (at >= 0) & ~np.isnan(own.score))
    young = young[~pooled.learning[at[young]]]
    if not len(young):
        return own
    source = at[young]
    columns = {}
    for name in ("score", "expected", "lower", "upper", "alarm", "evidence"):
        column = getattr(own, name).copy()
        column[young] = getattr(pooled, name)[source]
        columns[name] = column
    return replace(own, **columns)


def parted(scores: Scores, count: int) -> tuple[Scores, Scores]:
    """The first `count` samples of `scores`, and the others, without what the model raised on these."""
    errors = {index: error for index, error in scores.errors.items() if index < count}
    names = ("score", "expected", "lower", "upper", "alarm", "learning", "evidence")
    first = {name: getattr(scores, name)[:count] for name in names}
    rest = {name: getattr(scores, name)[count:] for name in names}
    return Scores(errors=errors, unscored=scores.unscored, **first), Scores(**rest)
