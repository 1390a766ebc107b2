"""Secrets in configured text: `${NAME}` is read from the environment, `${file:PATH}` from a file."""

import re
from collections.abc import Mapping
from pathlib import Path

from actuators.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{(?P<file>file:)?(?P<name>[^}]+)\}")


def expand(text: str, env: Mapping[str, str]) -> str:
    """`text` with its references replaced; a file's trailing newline is dropped.

    >>> expand("Bearer ${HOOK_TOKEN}", {"HOOK_TOKEN": "s3cret"})
    'Bearer s3cret'

    Raises:
        ConfigurationError: a variable or a file is not there. The text names it, never its content.
    """

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if not match["file"]:
            if name in env:
                return env[name]
            raise ConfigurationError(
                f"environment variable {name} is not set; set it or change the configuration"
            )
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise ConfigurationError(f"cannot read the secret file {name}: {error.strerror}") from error

    return _REFERENCE.sub(value, text)
