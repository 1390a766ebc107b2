"""Keys of `[signing]`: who signs commands, and whose signatures count."""

from typing import Annotated

from streams.config.section import Section
from streams.config.section import key as _key


class TrustedKeyConfig(Section, frozen=True, kw_only=True):
    """A public key whose commands are executed."""

    id: Annotated[str, _key("the key's id, as commands carry it", min_length=1)]
    public_key: Annotated[str | None, _key("the key (PEM); it is no secret")] = None
    public_key_file: Annotated[str | None, _key("or a file that holds it")] = None
    targets: Annotated[tuple[str, ...] | None, _key("targets that it may command; absent: all")] = None


class SigningConfig(Section, frozen=True, kw_only=True):
    """With a `key_id` planners sign commands; with `trusted` keys only what those signed is executed."""

    key_id: Annotated[str | None, _key("id of the key that planners sign with; absent: they do not")] = None
    private_key: Annotated[
        str, _key("that key (PEM): `${NAME}` from the environment or `${file:PATH}`, never the key itself")
    ] = "${TIDEGATE_SIGNING_KEY}"
    trusted: Annotated[
        tuple[TrustedKeyConfig, ...], _key("keys whose commands are executed; absent: any")
    ] = ()
