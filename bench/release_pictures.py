"""Draws the pictures of docs/releases.md into docs/pictures/: `python -m bench.release_pictures`."""

from pathlib import Path

import numpy as np

from planners.releases import ReleaseJudge, Verdict
from planners.releases.picture import as_svg

MINUTE = 60_000
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def judged(release: str, failing: float, sigma: float) -> Verdict:
    """An hour of a release at 5 % of 4000 requests a minute, with this error rate and tail of the latency."""
    rng, judge = np.random.default_rng(0), ReleaseJudge.begin(release, 0)
    for minute in range(500):
        ts = minute * MINUTE
        judge.observe_count(ts, "control", "errors", int(rng.binomial(3800, 0.005)), 3800)
        judge.observe_count(ts, "canary", "errors", int(rng.binomial(200, failing)), 200)
        judge.observe_values(ts, "control", "latency_ms", rng.lognormal(4.0, 0.5, 200).tolist())
        mean = 4.125 - 0.5 * sigma**2
        judge.observe_values(ts, "canary", "latency_ms", rng.lognormal(mean, sigma, 100).tolist())
    return judge.finish()


def main() -> None:
    """Write one picture per verdict."""
    PICTURES.mkdir(exist_ok=True)
    for name, failing, sigma in (("good", 0.005, 0.5), ("errors", 0.02, 0.5), ("tail", 0.005, 0.6523)):
        (PICTURES / f"release-{name}.svg").write_text(as_svg(judged(f"v2 ({name})", failing, sigma)))


if __name__ == "__main__":
    main()
