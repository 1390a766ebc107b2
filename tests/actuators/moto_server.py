"""AWS's API for Auto Scaling groups, by moto, over HTTP on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.moto_api._internal import mock_random
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


@contextmanager
def running() -> Iterator[str]:
    """URL of an empty server."""
    mock_random.seed(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-of-aws")
        try:
            yield url
        finally:
            import httpx  # noqa: PLC0415

            httpx.post(f"{url}/moto-api/reset", trust_env=False, timeout=60)
            server.stop()


def client(url: str) -> Any:
    """A client that may do everything."""
    return boto3.client("autoscaling", region_name=REGION, endpoint_url=url)


def params(url: str, **more: Any) -> dict[str, Any]:
    """Parameters of the actuator."""
    return {"region": REGION, "endpoint_url": url, "backoff_base_s": 0.01} | more


def create_group(made: Any, name: str, size: int, least: int = 1, most: int = 10) -> None:
    """Make a group."""
    made.create_launch_configuration(
        LaunchConfigurationName=f"{name}-launch", ImageId="ami-12345678", InstanceType="t3.micro"
    )
    made.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=f"{name}-launch",
        MinSize=least,
        MaxSize=most,
        DesiredCapacity=size,
        AvailabilityZones=[f"{REGION}a"],
    )


def desired(made: Any, name: str) -> int:
    """The group's desired capacity, as AWS has it."""
    (group,) = made.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return int(group["DesiredCapacity"])
