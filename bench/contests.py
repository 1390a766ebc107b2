"""Champion and challenger on losses whose truth is known: `python -m bench.contests`.

Losses are gamma-distributed with shape 2, as absolute errors of forecasts about are, and independent.
"""

import numpy as np

from planners.releases.contest import Contest, ContestConfig

MINUTE = 60_000
CASES = ((1.0, 1_440, 200), (0.9, 4_000, 40), (0.7, 4_000, 40))


def scores_to_promotion(seed: int, ratio: float, most: int) -> int | None:
    """Scores until a challenger with `ratio` times the champion's loss is promoted; None: not in `most`."""
    config = ContestConfig(champion="old", challenger="new")
    contest, rng = Contest.begin(config, 0), np.random.default_rng(seed)
    for score in range(most):
        old, new = float(rng.gamma(2.0, 0.5)), float(rng.gamma(2.0, 0.5 * ratio))
        if contest.observe(score * MINUTE, old, new) is not None:
            return score + 1
    return None


def main() -> None:
    """Print one line per case."""
    for ratio, most, contests in CASES:
        found = [scores_to_promotion(seed, ratio, most) for seed in range(contests)]
        promoted = [score for score in found if score is not None]
        median = f", median {np.median(promoted):g} scores" if promoted else ""
        print(f"loss x {ratio:g}, {most} scores: promoted {len(promoted)} of {contests}{median}")


if __name__ == "__main__":
    main()
