"""`tidegate keys`: the keys that commands are signed with."""

import os
from pathlib import Path
from typing import Annotated

import typer

from streams.cli_shared import ConfigOption, fail

keys = typer.Typer(help="Make and list the keys that commands are signed with.", no_args_is_help=True)


@keys.command()
def new(
    key_id: Annotated[str, typer.Argument(help="the key's id, such as planner-2026")],
    out: Annotated[Path, typer.Option(help="folder for ID.key (secret) and ID.pub")] = Path(),
) -> None:
    """Make a key pair; prints what belongs into the configuration."""
    from streams.extras import needed  # noqa: PLC0415

    with needed("signing"):
        import cryptography  # noqa: F401, PLC0415
    from actuators.signing import Signer, generate_pem  # noqa: PLC0415

    if Path(key_id).name != key_id or not key_id:
        fail(f"{key_id!r} cannot be a key's id: it names two files")
    pem = generate_pem()
    public = Signer.from_pem(key_id, pem).public_pem()
    private_file, public_file = out / f"{key_id}.key", out / f"{key_id}.pub"
    descriptor = os.open(private_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    public_file.write_bytes(public)
    print(
        f"# {private_file}: secret, for planners only. {public_file}: for everyone who acts.\n"
        f'[signing]\nkey_id = "{key_id}"\nprivate_key = "${{file:{private_file}}}"\n\n'
        f'[[signing.trusted]]\nid = "{key_id}"\npublic_key = """\n{public.decode()}"""'
    )


@keys.command("list")
def list_(config: ConfigOption) -> None:
    """Print the keys of a configuration: which one signs, which ones are trusted, and for which targets."""
    from streams.config import read  # noqa: PLC0415
    from streams.signatures import verifier  # noqa: PLC0415

    signing = read(config).signing
    verifier(signing)  # says what is wrong with one of them
    print(f"planners sign as: {signing.key_id or 'nobody, commands are not signed'}")
    for trusted in signing.trusted:
        targets = "all targets" if trusted.targets is None else ", ".join(trusted.targets) or "no target"
        print(f"trusted: {trusted.id}, for {targets}")
    if not signing.trusted:
        print("trusted: anyone, signatures are not looked at")
