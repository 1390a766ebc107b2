"""Secrets that the configuration refers to: in the environment or in files, never in the file itself."""

from collections.abc import Mapping

from actuators import ConfigurationError
from actuators.credentials import expand
from streams.config import ConfigError


def secret(where: str, text: str, environ: Mapping[str, str]) -> str:
    """The secret that `text` refers to, `${NAME}` or `${file:PATH}`.

    Raises:
        ConfigError: it is no reference, or what it refers to is absent or empty. The text never shows it.
    """
    if not (text.startswith("${") and text.endswith("}")):
        raise ConfigError(f"{where}: write ${{NAME}} or ${{file:PATH}}, secrets do not belong in the file")
    try:
        value = expand(text, environ)
    except ConfigurationError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not value:
        raise ConfigError(f"{where}: {text} is empty")
    return value
