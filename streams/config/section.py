"""What the declarations of all keys share."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

EMPTY: Any = msgspec.field(default_factory=dict)
"""The default of a table of names of the user's choice."""


def key(description: str, **bounds: Any) -> Meta:
    """A key's description and the bounds of its value, for `Annotated`."""
    return Meta(description=description, **bounds)


Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every table of the file."""


class TlsConfig(Section, frozen=True, kw_only=True):
    """How a server of Tidegate shows who it is and, with `client_ca_file`, asks its clients who they are."""

    cert_file: Annotated[str, key("certificate chain that the server shows (PEM)")]
    key_file: Annotated[str, key("its key (PEM)")]
    client_ca_file: Annotated[
        str | None, key("only clients with a certificate of this authority (PEM) are served")
    ] = None
