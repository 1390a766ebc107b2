"""Parts that need more packages than the base installation has."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.config import ConfigError


@contextmanager
def needed(extra: str) -> Iterator[None]:
    """Wrap imports of packages that come with `extra`.

    Raises:
        ConfigError: one is not installed; the text says how to.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in {"streams", "actuators", "schemas"}:
            raise  # a defect, not a missing package
        raise ConfigError(f'{error.name} is not installed: pip install "tidegate[{extra}]"') from error
