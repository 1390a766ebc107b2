"""`tidegate check`: is the configuration right, and does everything it names answer?"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from actuators import ActuationError, known_actuators, make_actuator
from detectors.port import DetectorError
from streams.access import client_settings
from streams.app import ROLES, bank_of
from streams.config import Config, ConfigError, KafkaConfig, read
from streams.privileges import AccessError, of_worker, require
from streams.signatures import signer, verifier
from streams.topics import TOPICS
from streams.worker import open_ledger

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined; `words` say how it stands and, where it is bad, how to mend it."""

    what: str
    good: bool
    words: str


async def examine(path: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Examine the configuration file and all that it names."""
    try:
        config = read(path)
    except ConfigError as error:
        return [Finding("configuration", False, str(error))]
    targets = ", ".join(target.name for target in config.targets) or "none: nothing will be scaled"
    return [
        Finding("configuration", True, f"{path}; targets: {targets}"),
        _detector(config, environ),
        *_actuators(config, environ),
        *await _receivers(config, environ),
        *_signing(config, environ),
        await _ledger(config, environ),
        *await _kafka(config.kafka, environ),
    ]


def _detector(config: Config, environ: Mapping[str, str]) -> Finding:
    chosen = config.detector
    key = environ.get(config.state.key_env)
    try:
        bank = bank_of(chosen, key.encode() if key else None)
    except (DetectorError, ValueError) as error:
        return Finding("detector", False, str(error))
    return Finding("detector", True, f"{bank.name}, {bank.row_bytes} bytes a series")


def _actuators(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    findings = []
    for name, each in config.actuators.items():
        try:
            make_actuator(each.kind, each.params, env=environ, dry_run=each.dry_run)
        except ActuationError as error:
            findings.append(Finding(f"actuator {name}", False, str(error)))
        else:
            mode = "dry run" if each.dry_run else "live"
            findings.append(Finding(f"actuator {name}", True, f"{each.kind}, {mode}"))
    return findings or [
        Finding("actuators", True, f"none configured; known kinds: {', '.join(known_actuators())}")
    ]


def _signing(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    signing = config.signing
    if signing.key_id is None and not signing.trusted:
        return [Finding("signing", True, "off: whoever may write to the topic of commands is obeyed")]
    findings = []
    if signing.key_id is not None:
        try:
            signer(signing, environ)
        except ConfigError as error:
            findings.append(Finding("signing", False, f"{error}; a worker with the role plan needs it"))
        else:
            findings.append(Finding("signing", True, f"planners sign as {signing.key_id}"))
    try:
        verifier(signing)
    except ConfigError as error:
        return [*findings, Finding("trusted keys", False, str(error))]
    trusted = [key.id for key in signing.trusted]
    if not trusted:
        words = "none: signatures are made and not looked at; name signing.trusted"
        return [*findings, Finding("trusted keys", False, words)]
    if signing.key_id is not None and signing.key_id not in trusted:
        words = f"{', '.join(trusted)}: not {signing.key_id}, whose commands will be refused"
        return [*findings, Finding("trusted keys", False, words)]
    return [*findings, Finding("trusted keys", True, ", ".join(trusted))]


async def _receivers(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Asks each Alertmanager; a webhook is only named, since asking it would page somebody."""
    findings = []
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        for name, each in config.alerts.receivers.items():
            what, url = f"receiver {name}", environ.get(each.url_env or "", each.url)
            if not url:
                words = f"its address is to be in the environment variable {each.url_env}, which is not set"
                findings.append(Finding(what, False, words))
            elif each.kind == "webhook":
                findings.append(Finding(what, True, "webhook; not asked"))
            else:
                try:
                    answer = await http.get(f"{url.rstrip('/')}/api/v2/status")
                    version = answer.raise_for_status().json()["versionInfo"]["version"]
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
                    why = error or type(error).__name__
                    words = f"no Alertmanager answers ({why}); start it, or mend its url"
                    findings.append(Finding(what, False, words))
                else:
                    findings.append(Finding(what, True, f"Alertmanager {version} answers"))
    return findings


async def _ledger(config: Config, environ: Mapping[str, str]) -> Finding:
    ledger = open_ledger(config, environ)
    try:
        pauses = await ledger.pauses()
        concerns = await ledger.concerns()
    except ActuationError as error:
        words = f"{error}; start Redis or Valkey, or mend ledger.url: without it no command acts"
        return Finding("ledger", False, words)
    finally:
        await ledger.close()
    paused = ", ".join(pause.target or "everything" for pause in pauses)
    words = "answers" + (f"; paused: {paused}" if paused else "")
    return Finding("ledger", True, "; ".join([words, *concerns]))


async def _kafka(kafka: KafkaConfig, environ: Mapping[str, str]) -> list[Finding]:
    brokers = ", ".join(kafka.brokers)
    try:
        admin = AIOKafkaAdminClient(**client_settings(kafka, environ))
    except (ConfigError, OSError) as error:
        return [Finding("kafka", False, str(error))]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await admin.start()
            described = await admin.describe_topics([kafka.prefix + spec.name for spec in TOPICS])
    except (KafkaError, OSError, TimeoutError) as error:
        words = f"no broker answers at {brokers} ({error or 'timeout'}); start it, or mend kafka.brokers"
        return [Finding("kafka", False, words)]
    finally:
        await admin.close()
    try:
        await require(kafka, client_settings(kafka, environ), of_worker(kafka, ROLES))
    except AccessError as error:
        return [Finding("kafka", True, f"{brokers} answers"), Finding("rights", False, str(error))]
    found = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
    findings = [Finding("kafka", True, f"{brokers} answers")]
    missing = [kafka.prefix + spec.name for spec in TOPICS if kafka.prefix + spec.name not in found]
    wrong = [f"{name} has {count}" for name, count in found.items() if count != kafka.partitions]
    if wrong:
        words = f"{', '.join(wrong)} partitions, kafka.partitions is {kafka.partitions}: all must agree"
        findings.append(Finding("topics", False, words))
    elif missing:
        findings.append(Finding("topics", True, f"the first worker will create {', '.join(missing)}"))
    else:
        findings.append(Finding("topics", True, f"all {len(TOPICS)} are there"))
    return findings
