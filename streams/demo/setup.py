"""The demo's configuration: what its `tidegate.toml` would say."""

from planners.releases import JudgeConfig, MetricSpec
from streams.config import Config, KafkaConfig, LedgerConfig, TargetConfig, TelemetryConfig
from streams.demo.service import ERRORS, LABELS, LATENCY, REQUESTS, TARGET
from streams.scaling import ScaleConfig

PEAK_REPLICAS = 40
STARTUP_S = 120.0


def demo_config(broker: str, ledger: str, capacity: float, port: int) -> Config:
    """Watch, scale and judge one service on the given broker (host:port) and ledger (URL)."""
    target = TargetConfig(
        name=TARGET,
        labels=LABELS,
        actuator="simulated",
        load=REQUESTS,
        scale=ScaleConfig(startup_s=STARTUP_S, capacity=capacity, max=2 * PEAK_REPLICAS),
        release=JudgeConfig(
            metrics=(
                MetricSpec(name=ERRORS, kind="gauge", tolerance=0.5, margin=1.0),
                MetricSpec(name=LATENCY, kind="gauge", tolerance=0.2, margin=0.5, must_not_fail=False),
            ),
            only_listed=True,
        ),
    )
    return Config(
        kafka=KafkaConfig(brokers=(broker,)),
        ledger=LedgerConfig(url=ledger),
        telemetry=TelemetryConfig(port=port),
        targets=(target,),
    )
