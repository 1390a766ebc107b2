"""Native JSON samples, one or a list (`schemas.Sample`)."""

from schemas import Sample, SchemaError
from streams.ingest.points import Fault, Parsed, Point, Strict
from streams.ingest.timestamps import parse_rfc3339

_samples = Strict(Sample)


def read(data: bytes) -> Parsed:
    """Read a record as `streams.ingest.points.Reader` says.

    >>> read(b'{"metric":"up","ts":5,"value":1}').points
    [Point(path='$', metric='up', labels={}, time=5, value=1.0)]
    """
    points: list[Point] = []
    faults: list[Fault] = []
    for path, sample in _samples.decode(data, faults):
        time = sample.ts
        if isinstance(time, str):
            try:
                time = parse_rfc3339(time)
            except SchemaError as error:
                faults.append(Fault(f"{path}.ts", str(error)))
                continue
        points.append(Point(path, sample.metric, sample.labels, time, sample.value))
    return Parsed(points, faults)
