"""The reference of all configuration keys, made from their declarations."""

import sys
import typing
from typing import Any

import msgspec
from msgspec import Meta

from streams.config.keys import Config
from streams.config.read import bare


def reference() -> str:
    """A Markdown page: one table per table of the file, one row per key."""
    return "\n".join(["# Configuration", "", INTRODUCTION, "", *_section("", Config)]).rstrip() + "\n"


INTRODUCTION = """\
One TOML file configures a worker: `tidegate worker -c tidegate.toml`. Every key has a default unless it
says *required*; an unknown key is refused, with the nearest known one. `tidegate check -c tidegate.toml`
validates the file and reaches everything it names. Secrets come from the environment, never from the file.
This page is made from the declarations: `python -m streams.config.document > docs/configuration.md`."""


def _section(path: str, kind: Any) -> list[str]:
    rows, inner = [], []
    for field in msgspec.structs.fields(kind):
        declared = typing.get_type_hints(kind, include_extras=True)[field.name]
        child, suffix = _child(declared)
        here = f"{path}.{field.name}" if path else field.name
        if child is not None:
            inner.append((here + suffix, child, _description(declared)))
        else:
            default = "*required*" if field.required else f"`{_shown(_default(field))}`"
            rows.append(f"| `{field.name}` | {default} | {_description(declared)} |")
    lines = ["| key | default | meaning |", "|---|---|---|", *rows, ""] if rows else []
    for name, child, description in inner:
        title = f"[[{name[:-2]}]]" if name.endswith("[]") else f"[{name}]"
        lines += [
            f"## `{title}`",
            "",
            f"{description[:1].upper()}{description[1:]}.",
            "",
            *_section(name.rstrip("[]"), child),
        ]
    return lines


def _child(declared: Any) -> tuple[Any | None, str]:
    """The struct below a key, and what its path gets: a name for mappings, [] for lists."""
    kind = bare(declared)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, ""
    inner = [bare(each) for each in typing.get_args(kind) if each is not ...]
    if inner and isinstance(inner[-1], type) and issubclass(inner[-1], msgspec.Struct):
        return inner[-1], ".NAME" if typing.get_origin(kind) is dict else "[]"
    return None, ""


def _description(declared: Any) -> str:
    if typing.get_origin(declared) is typing.Annotated:
        for extra in typing.get_args(declared)[1:]:
            if isinstance(extra, Meta) and extra.description:
                return extra.description
    return ""


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _shown(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        return "the table below"
    return "none" if value is None else msgspec.json.encode(value).decode()


if __name__ == "__main__":
    sys.stdout.write(reference())
