"""The demo's configuration: what its `tidegate.toml` would say."""

from streams.config import Config, KafkaConfig, LedgerConfig, TargetConfig, TelemetryConfig
from streams.demo.scenario import Scenario
from streams.demo.service import LABELS, REQUESTS, TARGET
from streams.scaling import ScaleConfig

PEAK_REPLICAS = 40
STARTUP_S = 120.0


def demo_config(
    broker: str, ledger: str, *, capacity: float, port: int, scenario: Scenario, step_ms: int
) -> Config:
    """Watch, scale and judge one service on the given broker (host:port) and ledger (URL).

    `capacity` is the load one replica serves; the service reports every `step_ms`.
    """
    target = TargetConfig(
        name=TARGET,
        labels=LABELS,
        actuator="simulated",
        load=REQUESTS,
        scale=ScaleConfig(startup_s=STARTUP_S, capacity=capacity, max=2 * PEAK_REPLICAS),
        release=scenario.judge,
        canary=scenario.plan(step_ms),
    )
    return Config(
        kafka=KafkaConfig(brokers=(broker,)),
        ledger=LedgerConfig(url=ledger),
        telemetry=TelemetryConfig(port=port),
        targets=(target,),
    )
