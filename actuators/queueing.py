"""How long requests wait for busy replicas: the M/M/c queue.

The probability to wait is that of Sakasegawa, "An approximation formula Lq = a rho^b/(1-rho)", 1977.
"""

import math

_SATURATED = 0.995  # utilisation from which a queue only grows; beyond it the surplus is unserved


def latency(median_ms: float, p99_ms: float, utilisation: float, replicas: int) -> tuple[float, float]:
    """Median and 99th percentile of the response time in ms, queueing included.

    A share rho**(sqrt(2(c+1)) - 1) of the requests waits (Sakasegawa, 1977), those exponentially with mean
    median/(c (1 - rho)). The quantiles of service and of waiting are added: an upper bound that is exact
    where one of them dominates.

    >>> latency(40.0, 180.0, 0.0, 4)
    (40.0, 180.0)
    >>> [round(quantile) for quantile in latency(40.0, 180.0, 0.9, 4)]
    [87, 618]
    """
    rho = min(utilisation, _SATURATED)
    if replicas == 0 or rho == 0:
        return median_ms, p99_ms
    waits = rho ** (math.sqrt(2 * (replicas + 1)) - 1)
    mean = median_ms / (replicas * (1 - rho))
    return median_ms + mean * _exponential(waits, 0.5), p99_ms + mean * _exponential(waits, 0.01)


def _exponential(share: float, above: float) -> float:
    """In units of the mean: the wait that a share `above` of all requests exceeds, where `share` waits."""
    return math.log(share / above) if share > above else 0.0
