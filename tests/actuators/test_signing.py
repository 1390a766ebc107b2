"""Signed commands: what a known planner signed passes, and nothing else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuators import ConfigurationError, ExecutionPolicy, RedisLedger, Unauthorised, execute
from actuators.signing import Signer, TrustedKey, Verifier, generate_pem
from schemas import Command, Scale, decode, encode
from tests.actuators.commands import NEVER, scale, service

PLANNER = Signer.from_pem("planner-1", generate_pem())
OTHER = Signer.from_pem("other", generate_pem())
VERIFY = Verifier({"planner-1": TrustedKey.from_pem(PLANNER.public_pem())})


@given(
    target=st.text(max_size=20),
    sequence=st.integers(0, 2**63 - 1),
    reasons=st.lists(st.text(max_size=20), max_size=3),
)
def test_what_was_signed_passes_also_after_the_wire(target: str, sequence: int, reasons: list[str]) -> None:
    signed = PLANNER.sign(scale(sequence, target=target, issued_at=1, reasons=reasons))
    VERIFY(decode(encode(signed), Command))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"target": "search"},
        {"sequence": 2},
        {"action": Scale(replicas=300, previous=1)},
        {"reasons": []},
        {"issued_at": 1001},
        {"expires_at": NEVER + 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_field_is_noticed(change: dict[str, Any]) -> None:
    with pytest.raises(Unauthorised, match="forged or altered"):
        VERIFY(msgspec.structs.replace(PLANNER.sign(scale(1)), **change))


def test_every_field_is_covered() -> None:
    """A field added to the schema later cannot slip through unsigned."""
    tested = {
        "id",
        "target",
        "sequence",
        "action",
        "reasons",
        "issued_at",
        "expires_at",
        "key_id",
        "signature",
    }
    assert {field.name for field in msgspec.structs.fields(Command)} == tested


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (scale(1), "not signed"),
        (msgspec.structs.replace(PLANNER.sign(scale(1)), signature=None), "not signed"),
        (msgspec.structs.replace(PLANNER.sign(scale(1)), key_id=None), "not signed"),
        (OTHER.sign(scale(1)), "'other' is not trusted"),
        (msgspec.structs.replace(OTHER.sign(scale(1)), key_id="planner-1"), "forged or altered"),
        (msgspec.structs.replace(PLANNER.sign(scale(1)), signature="%%%"), "forged or altered"),
        (msgspec.structs.replace(PLANNER.sign(scale(1)), signature=""), "forged or altered"),
        (msgspec.structs.replace(PLANNER.sign(scale(1)), signature="é"), "forged or altered"),
    ],
)
def test_what_no_known_planner_signed_is_refused(command: Command, words: str) -> None:
    with pytest.raises(Unauthorised, match=words):
        VERIFY(command)


def test_the_key_id_cannot_be_swapped_between_two_names_of_one_key() -> None:
    """A key listed twice with different rights: the wider name is not lent to the narrower."""
    key = PLANNER.public_pem()
    verify = Verifier({"planner-1": TrustedKey.from_pem(key, ["search"]), "wide": TrustedKey.from_pem(key)})
    with pytest.raises(Unauthorised, match="forged or altered"):
        verify(msgspec.structs.replace(PLANNER.sign(scale(1)), key_id="wide"))


def test_a_key_may_be_bound_to_targets() -> None:
    verify = Verifier({"planner-1": TrustedKey.from_pem(PLANNER.public_pem(), ["checkout"])})
    verify(PLANNER.sign(scale(1)))
    with pytest.raises(Unauthorised, match="may not command 'search'"):
        verify(PLANNER.sign(scale(1, target="search")))


def test_rotation_lets_both_keys_pass_until_the_old_one_is_dropped() -> None:
    new = Signer.from_pem("planner-2", generate_pem())
    both = {key.key_id: TrustedKey.from_pem(key.public_pem()) for key in (PLANNER, new)}
    during, after = Verifier(both), Verifier({"planner-2": both["planner-2"]})
    during(PLANNER.sign(scale(1)))
    during(new.sign(scale(1)))
    after(new.sign(scale(1)))
    with pytest.raises(Unauthorised, match="not trusted"):
        after(PLANNER.sign(scale(1)))


async def test_through_the_gates_forged_altered_replayed_and_expired_do_not_act(ledger: RedisLedger) -> None:
    shop = service()

    async def status(command: Command) -> str:
        outcome = await execute(
            command, ledger=ledger, actuator=shop, clock=lambda: 5000, policy=ExecutionPolicy(), verify=VERIFY
        )
        return outcome.status

    genuine = PLANNER.sign(scale(7, 4))
    assert await status(OTHER.sign(scale(7, 900))) == "unauthorised"
    assert await status(msgspec.structs.replace(genuine, target="search")) == "unauthorised"
    assert await status(genuine) == "executed"
    assert await status(genuine) == "duplicate"
    assert await status(PLANNER.sign(scale(6, id="older"))) == "fenced"
    assert await status(PLANNER.sign(scale(8, expires_at=4999))) == "expired"
    assert shop.executions == {"scale-7": 1}


@pytest.mark.parametrize("pem", [b"", b"not a key", PLANNER.public_pem()])
def test_a_private_key_that_is_none_is_a_configuration_error_without_its_text(pem: bytes) -> None:
    with pytest.raises(ConfigurationError, match="'planner-1' is not an unencrypted PEM private key"):
        Signer.from_pem("planner-1", pem)


def test_a_public_key_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="not a PEM public key"):
        TrustedKey.from_pem(b"no")


def test_keys_of_other_kinds_are_refused() -> None:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key  # noqa: PLC0415

    key = generate_private_key(SECP256R1())
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        Signer.from_pem("planner-1", private)
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        TrustedKey.from_pem(public)
