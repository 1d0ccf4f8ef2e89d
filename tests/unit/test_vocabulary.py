"""Names and terms that were replaced do not come back: one word for each concept, everywhere."""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXEMPT = (
    "CHANGELOG.md",  # its table names what was renamed
    "benchmarks/",  # results and scripts that measure earlier commits
    "plugins/inbound_webhooks/storage/migrations/",
    "plugins/inbound_webhooks/records/renamed.py",
    "tests/integration/storage/",  # rows that earlier commits wrote, and what became of them
    "tests/mutations/",  # patches and test names of earlier commits
    "tests/recording/",  # what an earlier commit answered
    "tests/vendor/",
    "tests/unit/presets/cases/",
    "tests/payloads/",
    "tests/unit/benchmarks/",
    "tests/unit/test_vocabulary.py",
)

IDENTIFIERS = {
    "Addresses": "IpAllowList",
    "Answer": "Response",
    "Catalog": "WebhookPage",
    "Claimed": "ClaimedDelivery",
    "Cleaner": "RetentionJob",
    "Counting": "charging",
    "DefinitionCache": "WebhookCache",
    "Fault": "Problem",
    "Followed": "TrackedDelivery",
    "Follower": "RunTracker",
    "HandshakeAnswer": "HandshakeResponse",
    "MailText": "RenderedMail",
    "Mailer": "NotificationSender",
    "MappingFault": "Problem",
    "Mistake": "Problem",
    "Mistakes": "InvalidRequest",
    "NotProved": "VerificationFailed",
    "Nothing": "Missing",
    "One": "SingleValue",
    "Presence": "Heartbeat",
    "Proof": "VerificationScheme",
    "Question": "WebhookQuery",
    "ReceiverFault": "InternalError",
    "RequiredProof": "RequiredScheme",
    "Story": "DeliveryDetails",
    "Together": "Batcher",
    "Turns": "RoundRobin",
    "Values": "MultiDict",
    "Visits": "DeliveryStore",
    "Wanted": "WebhookQuery",
    "Work": "Budget",
    "_hungry": "shared",
    "_without_orders": "_strip_control_characters",
    "agrees": "confirm",
    "also_tell": "add_listener",
    "answer_status": "response_status",
    "aside": "run_in_thread",
    "at_once": "autocommit",
    "batches_of": "backend_for",
    "before_proof": "before_verification",
    "bounded": "check_length",
    "check_proofs": "verify",
    "compile_definition": "compile_webhook",
    "conceal_keys": "redact_keys",
    "conf_faults": "conf_problems",
    "delivery_story": "delivery_details",
    "door": "get_receiver",
    "hurry": "reschedule_future_attempts",
    "lazy": "cached_attribute",
    "log_fault": "log_unexpected_error",
    "mapping_faults": "mapping_problems",
    "proof": "verification",
    "proofs": "verification",
    "proofs_with": "verification_with",
    "required_proof": "read_scheme",
    "spend": "charge",
    "take_alone": "try_lock_webhook",
    "text_fault": "text_problem",
    "try_out": "preview_request",
    "visits": "store",
    "what_it_waits_for": "waiting_reason",
}
"""Retired -> current, for names in Python code: of classes, functions, arguments, attributes, modules."""

MODULES = {
    "definitions": "webhooks.service",
    "delivery_story": "deliveries.details",
    "dispatch.cleaner": "dispatch.retention",
    "dispatch.clock": "storage.clock_skew",
    "dispatch.follower": "dispatch.run_tracker",
    "dispatch.links": "urls",
    "dispatch.mail_text": "notifications.rendering",
    "dispatch.mail_transport": "notifications.transport",
    "dispatch.notifications": "notifications.sender",
    "dispatch.presence": "dispatch.heartbeat",
    "dispatch.turns": "dispatch.fair_queue",
    "event.expression": "event.expressions",
    "event.handshake": "event.handshakes",
    "event.mapping_faults": "event.conf.problems",
    "event.proof": "event.verification.scheme",
    "event.proof_settings": "event.verification.settings",
    "event.proofs": "event.verification",
    "event.run_conf": "event.conf",
    "event.signature": "event.verification.registry",
    "event.work": "event.expressions.budget",
    "lazy": "event.cached_attribute",
    "readiness": "webhooks.readiness",
    "receiver.answers": "event.responses",
    "receiver.aside": "receiver.threads",
    "receiver.definition": "webhooks.compiled",
    "receiver.door": "receiver.instance",
    "receiver.receive": "receiver.pipeline",
    "receiver.source": "receiver.client_address",
    "receiver.together": "deliveries.store.batcher",
    "receiver.tryout": "deliveries.preview",
    "receiver.visits": "deliveries.store",
    "rest.bodies": "rest.requests",
    "rest.documents": "rest.responses",
    "rest.faults": "rest.problems",
    "rest.user": "rest.dependencies",
    "sender_settings": "webhooks.secrets",
    "storage.dags": "airflow_bridge.dag_cache",
    "storage.queries": "the storage module of its table",
    "storage.together": "storage.postgres_bulk",
    "storage.waiting": "storage.clock_skew",
    "storage.window": "storage.delivery_pages",
    "web.draft": "web.form_data",
    "web.judging": "web.backtests",
    "web.page": "web.base_view",
    "web.samples": "web.stored_requests",
    "web.trying": "web.preview",
    "web.wording": "web.formatting",
}
"""Retired -> current, of modules below the package."""

TERMS = {
    r"--proof\b": "--verify",
    r"\bproofs?\b": "verification",
    r"(?<![a-z])not[ _]proved(?![a-z])": "verification_failed",
    r"\breceiver[ _]fault\b": "internal_error",
    r"\banswer_status\b": "response_status",
    r"\b(front )?doors?\b": "endpoint",
    r"\btryouts?\b": "preview",
    r"\bfollowers?\b": "run tracker",
    r"\bconfs? of then\b": "original conf",
    r"\bmappings? of today\b|\btoday's mapping\b": "current mapping",
    r"\bnames an event\b": "deduplication key",
    r"\bmapping faults?\b": "problem",
    r"/several\b|\bsure\.html\b": "/bulk, confirm.html",
}
"""Retired term -> current one, in all that is read or written: pages, documentation, messages, files."""

REFUSED = re.compile(r'ARG_PROOF|"--proof\b|"proofs": \[]|\bproofs: \[]|proofs is now')
"""Lines on which an old spelling is refused, or a test uses it."""


def tracked() -> Iterator[tuple[str, str]]:
    """The path and text of each file of the repository that is text and not exempt."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not name.startswith(EXEMPT):
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue  # a picture, or bytes that a sender sent


@cache
def files() -> dict[str, str]:
    return dict(tracked())


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name in a module's code, with its line; keys and texts are none."""
    for node in ast.walk(tree):
        for attribute in ("id", "attr", "name", "arg", "asname"):
            name = getattr(node, attribute, None)
            if isinstance(name, str):
                yield from ((part, getattr(node, "lineno", 0)) for part in name.split("."))


@dataclass
class Code:
    """What the tests look for in the Python code of the repository; parsing it takes most of their time.

    ``used``: every name with its place. ``scripts``: file -> programs in the texts of tests, which run them
    in a process of their own. ``functions``: file -> line and name of each function.
    """

    used: list[tuple[str, str]] = field(default_factory=list)
    scripts: list[tuple[str, ast.Module]] = field(default_factory=list)
    functions: list[tuple[str, int, str]] = field(default_factory=list)


@cache
def code() -> Code:
    found = Code()
    for name, text in files().items():
        if not name.endswith(".py"):
            continue
        tree = ast.parse(text)
        found.used += [(used, f"{name}:{line}") for used, line in identifiers(tree)]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.functions.append((name, node.lineno, node.name))
            # The layers' test has lines that are no programs.
            elif name != "tests/unit/test_layers.py" and (script := script_in(node)) is not None:
                found.scripts.append((name, script))
    return found


def script_in(node: ast.AST) -> ast.Module | None:
    value = getattr(node, "value", None)
    if isinstance(value, str) and {"import", "inbound_webhooks"} <= set(re.findall(r"\w+", value)):
        with suppress(SyntaxError):
            return ast.parse(textwrap.dedent(value))
    return None


def lines_with(pattern: str) -> list[str]:
    found = re.compile(pattern, re.IGNORECASE)
    return [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, text in files().items()
        if found.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if found.search(line) and not REFUSED.search(line)
    ]


def test_no_retired_identifier_is_used():
    used = code().used
    found = [f"{place}: {name} is now {IDENTIFIERS[name]}" for name, place in used if name in IDENTIFIERS]
    assert found == []


def test_what_replaces_an_identifier_is_used():
    package = (ROOT / "plugins" / "inbound_webhooks").rglob("*.py")
    there = {name for path in package for name, _ in identifiers(ast.parse(path.read_text()))}
    assert set(IDENTIFIERS.values()) - there == set()


def test_no_retired_module_is_named():
    paths = "|".join(re.escape(module) for module in MODULES)
    dotted = rf"\binbound_webhooks\.({paths})(?![\w.])"
    slashed = rf"\binbound_webhooks/({paths.replace(re.escape('.'), '/')})\.py\b"
    assert lines_with(f"{dotted}|{slashed}") == []


def exists(module: str, name: str) -> bool:
    path = (ROOT / "plugins").joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    is_module = (path / name).is_dir() or (path / name).with_suffix(".py").is_file()
    return is_module or (file.is_file() and re.search(rf"\b{name}\b", file.read_text()) is not None)


def test_a_script_of_a_test_imports_what_exists():
    missing = [
        f"{name}: {node.module}.{alias.name}"
        for name, script in code().scripts
        for node in ast.walk(script)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("inbound_webhooks")
        for alias in node.names
        if not exists(str(node.module), alias.name)
    ]
    assert missing == []


def test_no_retired_module_is_there():
    package = ROOT / "plugins" / "inbound_webhooks"
    there = [module for module in MODULES if package.joinpath(*module.split(".")).with_suffix(".py").exists()]
    assert there == []


@pytest.mark.parametrize("term", TERMS)
def test_no_retired_term_is_written(term):
    assert lines_with(term) == []


UNNAMED = re.compile(r"(^|_)(told|tells?|whoever|nobody|nobodys|somebody|anybody|everybody|neighbours?)(_|$)")


def test_the_names_of_tests_name_their_actors():
    found = [
        f"{file}:{line}: {name}"
        for file, line, name in code().functions
        if file.startswith("tests/") and UNNAMED.search(name)
    ]
    assert found == []
