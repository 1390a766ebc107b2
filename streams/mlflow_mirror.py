"""Model versions in MLflow: one run per version, its figures as a history, its standing as a tag.

MLflow is a mirror for people: the pipeline itself reads nothing from it. What is on the topic again after a
restart changes nothing: a version's run is found by its tag, and a figure has the step of its time.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from schemas import ModelVersion, SchemaError, decode
from streams.config import ConfigError
from streams.model_versions import MirrorError
from streams.record import Record

try:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
except ModuleNotFoundError as error:  # pragma: no cover - depends on the installation
    raise ConfigError('the mirror needs an extra: pip install "tidegate[mlflow]"') from error

TAG = "tidegate.id"


class Mirror:
    """Writes model versions to the tracking server at `uri`."""

    def __init__(self, uri: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._runs: dict[str, str] = {}
        self._experiments: dict[str, str] = {}

    def take(self, version: ModelVersion) -> str:
        """Write one version; returns the id of its run.

        Raises:
            MirrorError: the server does not answer, or refuses it.
        """
        try:
            run = self._run(version)
            metrics = [
                Metric(name.replace("@", "_"), value, version.ts, version.ts // 1000)
                for name, value in version.metrics.items()
            ]
            tags = [RunTag("tidegate.standing", version.standing), RunTag("tidegate.reason", version.reason)]
            self._client.log_batch(run, metrics=metrics, tags=tags)
        except MlflowException as error:
            raise MirrorError(f"MLflow refuses version {version.id}: {error}") from error
        return run

    def _run(self, version: ModelVersion) -> str:
        if version.id in self._runs:
            return self._runs[version.id]
        experiment = self._experiment(f"tidegate/{version.target}")
        found = self._client.search_runs([experiment], f"tags.`{TAG}` = '{version.id}'", max_results=1)
        if found:
            run = str(found[0].info.run_id)
        else:
            tags = {TAG: version.id, "tidegate.code": version.code, "tidegate.model": version.model}
            made = self._client.create_run(
                experiment, start_time=version.data_from, tags=tags, run_name=version.version
            )
            run = str(made.info.run_id)
            params = {"data_from": str(version.data_from), **_flat(version.parameters)}
            self._client.log_batch(run, params=[Param(name, text) for name, text in params.items()])
        self._runs[version.id] = run
        return run

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            known = self._client.get_experiment_by_name(name)
            made = known.experiment_id if known is not None else self._client.create_experiment(name)
            self._experiments[name] = str(made)
        return self._experiments[name]


async def mirror(records: AsyncIterator[Record], uri: str) -> AsyncIterator[ModelVersion]:
    """Write the versions of the topic's `records`; yields each once it is there. Others are left out."""
    target = Mirror(uri)
    async for record in records:
        try:
            version = decode(record.value or b"", ModelVersion)
        except SchemaError:
            continue
        target.take(version)
        yield version


def _flat(parameters: dict[str, Any], path: str = "") -> dict[str, str]:
    return dict(_leaves(parameters, path))


def _leaves(parameters: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", str(value)
