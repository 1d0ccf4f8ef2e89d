"""`airflow webhooks create --preset …`, `rotate` and `presets`: senders and their secrets at a terminal."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import pytest
import yaml

from inbound_webhooks.presets import PRESETS, Preset
from tests.infrastructure.command_line import one_line
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import audit_rows, now, rows, store_webhook, token_of
from tests.unit.presets.vendor_secrets import vendor_secrets

SECRET = "canary-of-the-secret-0123456789abcdef"
NO_DISPATCHER = "No dispatcher is running. Deliveries wait until one starts."
CREATE = ("create", "pushes", "--dag-id", "orders")
GITHUB = (*CREATE, "--preset", "github")

presets = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    """``@FILE`` with the secret as an editor leaves it, a line of its own."""
    file = tmp_path / "a secret"
    file.write_text(f"{SECRET}\n")
    return f"@{file}"


@pytest.fixture
def orders(sqlite_database) -> None:
    store_dag("orders")


def secrets_of(name: str) -> dict[str, list[str]]:
    """Purpose -> secrets in clear, oldest first."""
    from inbound_webhooks.storage.encryption import decrypt
    from inbound_webhooks.webhooks import service

    webhook_id, found = service.get(name).id, {}
    for row in rows("secret"):
        if row.webhook_id == webhook_id:
            found.setdefault(row.purpose, []).append(decrypt(row.encrypted))
    return found


def secret_options(preset: Preset, folder: Path) -> list[str]:
    """``--secret`` for each purpose of a preset, with a key that fits it."""
    options = []
    for purpose, held in vendor_secrets(preset.name).items():
        file = folder / purpose
        file.write_text(held)
        options += ["--secret", f"{purpose}=@{file}"]
    return options


# --- create ---------------------------------------------------------------------------------


def test_create_takes_everything_from_the_preset(webhooks, orders, secret_file):
    from inbound_webhooks.webhooks import service

    done = webhooks(*GITHUB, "--secret", secret_file)
    made, preset = service.get("pushes"), PRESETS["github"]
    assert done.status == 0, done.err
    assert tuple(made.verification) == preset.verification
    assert (made.preset, made.dedup, made.invalid_status) == ("github", preset.dedup, preset.invalid_status)
    assert secrets_of("pushes") == {"signing": [SECRET]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-per-second", "0"), "--max-per-second: it is not between 1 and 1000000\n"),
        (("--notify-failure", "nobody"), "--notify-failure: 'nobody' is not an e-mail address"),
        (("--map", "a=${Webhook::No}"), "--map a: line 1, column"),
        (("--verify", '{"kind": "hmac"}'), "--verify hmac: it needs the setting header\n"),
        (("--event", "push"), "--event: this sender has no event types"),
        (("--preset", "github", "--secret", "@/dev/null"), "--secret signing: it is empty\n"),
        (("--disabled-status", "404"), "--disabled-status: 404 is not one of 403, 503\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_option_that_cannot_be_used_is_named_as_the_call_has_it(webhooks, orders, options, message):
    done = webhooks(*CREATE, *options)
    assert (done.status, rows("webhook")) == (2, [])
    assert done.err.startswith(message)


def test_addresses_may_be_repeated_and_have_commas_between_them(webhooks, orders):
    options = ("--notify-failure", "a@example.com,b@example.com", "--notify-failure", "c@example.com")
    webhooks(*CREATE, *options, "--allow", "192.0.2.0/24,2001:db8::/32")
    (made,) = rows("webhook")
    assert json.loads(made.notify_failure) == ["a@example.com", "b@example.com", "c@example.com"]
    assert json.loads(made.allowed_addresses) == ["192.0.2.0/24", "2001:db8::/32"]


def test_what_the_call_says_counts_more_than_the_preset(webhooks, orders, secret_file):
    from inbound_webhooks.webhooks import service

    scheme = {"kind": "hmac", "header": "X-Mine", "algorithm": "sha512"}
    webhooks(
        *(*GITHUB, "--secret", secret_file, "--verify", json.dumps(scheme), "--dedup", "{{ body | sha256 }}"),
        *("--filter", 'body.ref == "refs/heads/main"', "--response-status", "201"),
        *("--allow", "192.0.2.0/24", "--allow", "2001:db8::/32", "--max-per-second", "5"),
        *("--max-backlog", "100", "--max-active-runs", "2"),
    )
    made = service.get("pushes")
    assert list(made.verification) == [scheme]
    assert (made.dedup, made.filter) == ("{{ body | sha256 }}", 'body.ref == "refs/heads/main"')
    assert (made.response_status, made.max_per_second) == (201, 5)
    assert (made.max_backlog, made.max_active_runs) == (100, 2)
    assert list(made.allowed_addresses) == ["192.0.2.0/24", "2001:db8::/32"]


def test_several_verification_are_all_required(webhooks, orders, secret_file):
    from inbound_webhooks.webhooks import service

    verification = [
        {"kind": "hmac", "header": "X-Sign"},
        {"kind": "basic", "username": "u", "purpose": "password"},
    ]
    options = [text for scheme in verification for text in ("--verify", json.dumps(scheme))]
    given = ("--secret", secret_file, "--secret", f"password={secret_file}")
    assert webhooks(*CREATE, *options, *given).status == 0
    assert list(service.get("pushes").verification) == verification
    assert secrets_of("pushes") == {"signing": [SECRET], "password": [SECRET]}


@pytest.mark.parametrize("source", ["-", "@-", "signing=-", "env:HOOK_SECRET", "signing=env:HOOK_SECRET"])
def test_a_secret_comes_from_standard_input_or_the_environment(webhooks, orders, monkeypatch, source):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{SECRET}\r\n".encode())))
    assert webhooks(*GITHUB, "--secret", source).status == 0
    assert secrets_of("pushes") == {"signing": [SECRET]}


def test_each_secret_is_for_its_purpose(webhooks, orders, secret_file, monkeypatch):
    monkeypatch.setenv("VERIFY", "another one")
    given = ("--secret", secret_file, "--secret", "verify=env:VERIFY")
    assert webhooks(*CREATE, "--preset", "meta", *given).status == 0
    assert secrets_of("pushes") == {"signing": [SECRET], "verify": ["another one"]}


def test_a_certificate_keeps_its_lines(webhooks, orders, tmp_path):
    options = secret_options(PRESETS["aws-sns"], tmp_path)
    webhooks(*CREATE, "--preset", "aws-sns", *options)
    (stored,) = secrets_of("pushes")["signing"]
    assert stored == vendor_secrets("aws-sns")["signing"].strip("\n")
    assert stored.count("\n") > 3


@pytest.mark.parametrize("preset", ["aws-sns", "google-pubsub"])
def test_keys_that_are_fetched_need_no_secret(webhooks, orders, preset):
    from inbound_webhooks.webhooks import service

    shown = webhooks("presets", preset).out
    assert webhooks(*CREATE, "--preset", preset, "--refresh-keys").status == 0
    (scheme,) = service.get("pushes").verification
    assert (scheme["refresh_keys"], rows("secret")) == (True, [])
    assert f"--preset {preset} --refresh-keys\n" in shown


def test_a_secret_that_the_sender_makes_of_the_url_comes_after_create(webhooks, orders, secret_file):
    made = webhooks(*CREATE, "--preset", "stripe")
    assert (made.status, rows("secret")) == (0, [])
    assert 'The signing secret is missing. Enter "Signing secret". ' in made.err
    assert "waits for its secret. To enter it:\n  airflow webhooks rotate pushes --secret @FILE\n" in made.err
    assert "airflow webhooks enable" not in made.err
    (waits, _) = webhooks("show", "pushes", "-o", "json").json["warnings"]
    assert "Signing secret" in waits
    checked = webhooks("check")
    assert (checked.status, "error  pushes: The signing secret is missing" in checked.out) == (1, True)
    assert webhooks("rotate", "pushes", "--secret", secret_file).status == 0
    assert webhooks("show", "pushes", "-o", "json").json["warnings"] == [NO_DISPATCHER]


@pytest.mark.parametrize("output", ["json", "table"])
def test_the_vendors_steps_go_to_standard_error_with_the_url_and_without_the_secret(
    webhooks, orders, secret_file, output
):
    done = webhooks(*GITHUB, "--secret", secret_file, "-o", output)
    url = f"/webhook/{rows('webhook')[0].id}/{token_of('pushes')}"
    assert "Payload URL: " in done.err
    assert url in done.err
    assert PRESETS["github"].documentation_url in done.err
    assert SECRET not in done.out + done.err
    if output == "json":
        assert done.json["url"].endswith(url)


@presets
def test_the_steps_of_every_preset_are_whole(webhooks, orders, tmp_path, preset):
    done = webhooks(*CREATE, "--preset", preset.name, *secret_options(preset, tmp_path), "-o", "json")
    assert done.status == 0, done.err
    assert done.json["url"] in done.err
    assert "{url}" not in done.err
    assert "{secret}" not in done.err
    assert done.err.count("\n") == len(preset.steps) + 1


def test_a_grace_is_ended_by_command(webhooks, orders):
    webhooks(*CREATE)
    webhooks("rotate", "pushes", "--grace-hours", "24")
    assert webhooks("end-grace", "pushes").out == "Old URLs and secrets of pushes that stopped working: 1.\n"
    assert len(rows("token")) == 1
    assert (
        webhooks("end-grace", "pushes").out == "Old URLs and secrets of pushes that stopped working: none.\n"
    )
    assert webhooks("end-grace", "nothing").status == 1


def test_create_says_that_a_path_without_braces_is_a_text(webhooks, orders):
    done = webhooks(*CREATE, "--map", "number=body.number")
    assert done.status == 0
    assert "Write ${Webhook::Body.number} for that." in done.err


# --- wrong calls ----------------------------------------------------------------------------

WRONG_CALLS = {
    "no such preset": (("--preset", "githb"), "githb"),
    "a secret for nothing": (("--secret", "env:HOOK_SECRET"), "signing"),
    "a secret for another purpose": (
        ("--preset", "github", "--secret", "env:HOOK_SECRET", "--secret", "verify=env:HOOK_SECRET"),
        "verify",
    ),
    "the secret itself": (("--preset", "github", "--secret", SECRET), "@FILE"),
    "the secret itself, with a purpose": (("--preset", "github", "--secret", f"signing={SECRET}"), "@FILE"),
    "a file that is not there": (("--preset", "github", "--secret", "@/no/such/file"), "/no/such/file"),
    "a folder": (("--preset", "github", "--secret", "@/"), "directory"),
    "a variable that is not set": (("--preset", "github", "--secret", "env:NO_SUCH"), "NO_SUCH"),
    "an empty secret": (("--preset", "github", "--secret", "@/dev/null"), "empty"),
    "white space around it": (("--preset", "github", "--secret", "env:SPACED"), "white space"),
    "a key of the wrong kind": (("--preset", "sendgrid", "--secret", "env:HOOK_SECRET"), "secret"),
    "standard input twice": (("--preset", "meta", "--secret", "-", "--secret", "verify=-"), "standard input"),
    "a verification by its old name": (("--proof", '{"kind": "hmac"}'), "--proof is now `--verify`"),
    "a verification by its old name, as one word": (("--proof={}",), "--proof is now `--verify`"),
    "a verification that is no JSON": (("--verify", "hmac"), "--verify"),
    "a verification that is a list": (("--verify", "[]"), "--verify"),
    "a verification without end": (("--verify", "[" * 100_000), "--verify"),
    "a verification of no kind": (("--verify", '{"kind": "rot13"}'), "rot13"),
    "a verification without its header": (("--verify", '{"kind": "hmac"}'), "header"),
    "a tolerance that is none": (
        ("--verify", '{"kind": "hmac", "header": "X", "tolerance_seconds": NaN}'),
        "tolerance_seconds",
    ),
    "keys that nobody publishes": (
        ("--preset", "github", "--secret", "env:HOOK_SECRET", "--refresh-keys"),
        "does not publish its public keys",
    ),
    "a filter": (("--filter", "body.a =="), "filter: line 1, column"),
    "a deduplication key": (("--dedup", "${Webhook::Nowhere}"), "dedup"),
    "no block of addresses": (("--allow", "192.0.2.1/24"), "192.0.2.1/24"),
    "no request a second": (("--max-per-second", "0"), "1000000"),
    "more than any number": (("--max-per-second", "99999999999"), "1000000"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_ends_with_2_and_one_line_that_names_what_is_wrong(webhooks, orders, monkeypatch, case):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("SPACED", f" {SECRET}")
    options, named = WRONG_CALLS[case]
    done = webhooks(*CREATE, *options)
    assert (done.status, done.out) == (2, "")
    assert one_line(done.err), done.err
    assert named in done.err
    assert SECRET not in done.err
    assert (rows("webhook"), rows("secret"), audit_rows()) == ([], [], [])


# --- no secret in clear ---------------------------------------------------------------------


def test_no_secret_stands_in_clear_in_output_audit_log_or_database(
    webhooks, orders, sqlite_database, secret_file, monkeypatch
):
    monkeypatch.setenv("NEXT", f"{SECRET}-next")
    printed = [
        webhooks(*GITHUB, "--secret", secret_file, "-o", "json"),
        webhooks("show", "pushes"),
        webhooks("show", "pushes", "-o", "json"),
        webhooks("rotate", "pushes", "--secret", "env:NEXT", "--grace-hours", "1"),
        webhooks("list", "-o", "yaml"),
        webhooks("delete", "pushes", "--yes"),
    ]
    assert [done.status for done in printed] == [0] * len(printed)
    assert SECRET not in "".join(done.out + done.err for done in printed)
    stored = Path(sqlite_database.url.removeprefix("sqlite:///"))
    files = [path.read_bytes() for path in stored.parent.glob(f"{stored.name}*")]
    assert not [content for content in files if SECRET.encode() in content]


# --- show -----------------------------------------------------------------------------------


def test_show_lists_credentials_with_their_times_and_nothing_else(webhooks, orders):
    hook = store_webhook("pushes", preset="github", secrets={"signing": SECRET})
    webhooks("rotate", hook.name, "--grace-hours", "2")
    shown = webhooks("show", hook.name, "-o", "json").json["credentials"]
    assert [(held["purpose"], bool(held["expires_at"])) for held in shown] == [
        ("url", False),
        ("url", True),
        ("signing", False),
    ]
    assert {name for held in shown for name in held} >= {"created_at", "expires_at", "last_used_at"}
    assert not [held for held in shown if SECRET in str(held) or hook.token in str(held)]


def test_show_has_all_of_creates_options_about_the_sender(webhooks, orders, secret_file):
    given = ("--filter", "body.a", "--allow", "192.0.2.0/24", "--max-per-second", "7")
    limits = ("--max-backlog", "8", "--max-active-runs", "9")
    webhooks(*CREATE, "--preset", "stripe", "--secret", secret_file, *given, *limits)
    shown, preset = webhooks("show", "pushes", "-o", "json").json, PRESETS["stripe"]
    assert (shown["preset"], shown["filter"], shown["dedup"]) == ("stripe", "body.a", preset.dedup)
    assert shown["event_type"] == preset.event_type
    assert (shown["allowed_addresses"], shown["max_per_second"]) == (["192.0.2.0/24"], 7)
    assert (shown["max_backlog"], shown["max_active_runs"]) == (8, 9)
    assert (shown["disabled_status"], shown["invalid_status"]) == (503, 202)
    assert shown["verification"] == [dict(scheme) for scheme in preset.verification]


def test_show_has_the_link_that_confirms_a_subscription(webhooks, orders):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import set_confirm_url

    hook = store_webhook()
    assert webhooks("show", hook.id, "-o", "json").json["confirm_url"] is None
    with transaction() as connection:
        set_confirm_url(connection, hook.id, "https://sns.eu-west-1.amazonaws.com/?Token=1")
    shown = webhooks("show", hook.id, "-o", "json").json
    assert shown["confirm_url"] == "https://sns.eu-west-1.amazonaws.com/?Token=1"


def test_a_table_shows_each_rejection_and_credential_on_a_line_of_its_own(webhooks, orders):
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    hook = store_webhook(preset="github", secrets={"signing": SECRET})
    noted = Rejection(
        webhook_id=hook.id, rejected_at=now(), source_ip="::1", method="POST", status=401, reason="Because."
    )
    with transaction() as connection:
        insert_rejections(connection, [noted] * 3)
    lines = webhooks("show", hook.name, "-o", "plain").out.splitlines()
    assert len([line for line in lines if "status: 401" in line and "reason: Because." in line]) == 3
    assert len([line for line in lines if "created_at: " in line and "purpose: " in line]) == 2


# --- rotate ---------------------------------------------------------------------------------


def hours_left(row) -> float:
    return round((row.expires_at - now()).total_seconds() / 3600, 2)


def test_a_rotation_with_grace_prints_the_new_url_alone_and_keeps_the_old_one(webhooks, orders):
    hook = store_webhook()
    done = webhooks("rotate", hook.name, "--grace-hours", "24")
    old, new = rows("token")
    assert done.out == f"http://localhost:8080/pluginsv2/webhook/{hook.id}/{token_of(hook.id)}\n"
    assert hook.token not in done.out + done.err
    assert "24 hours" in done.err
    assert (hours_left(old), new.expires_at) == (24, None)


def test_rotating_a_secret_leaves_url_and_other_secrets(webhooks, orders, secret_file):
    hook = store_webhook(preset="meta", secrets={"signing": "the first", "verify": "v"})
    done = webhooks("rotate", hook.name, "--secret", secret_file)
    assert done.out == f"{hook.name} has a new secret for signing.\n"
    assert secrets_of(hook.name) == {"verify": ["v"], "signing": [SECRET]}
    assert token_of(hook.id) == hook.token


def test_a_secret_with_grace_counts_beside_the_new_one(webhooks, orders, secret_file):
    hook = store_webhook(preset="github", secrets={"signing": "the first"})
    done = webhooks("rotate", hook.name, "--secret", secret_file, "--grace-hours", "0.5")
    assert secrets_of(hook.name) == {"signing": ["the first", SECRET]}
    assert hours_left(rows("secret")[0]) == 0.5
    assert "0.5 hours" in done.out


@pytest.mark.parametrize(
    "options",
    [
        ("--grace-hours", "-1"),
        ("--grace-hours", "nan"),
        ("--grace-hours", "inf"),
        ("--grace-hours", "2161"),
        ("--secret", SECRET),
        ("--secret", "verify=env:HOOK_SECRET"),
        ("--secret", "@/dev/null"),
    ],
    ids=" ".join,
)
def test_a_wrong_rotation_ends_with_2_and_one_line_and_changes_nothing(
    webhooks, orders, monkeypatch, options
):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    hook = store_webhook(preset="github", secrets={"signing": "the first"})
    done = webhooks("rotate", hook.name, *options)
    assert (done.status, done.out, one_line(done.err)) == (2, "", True)
    assert SECRET not in done.err
    assert (secrets_of(hook.name), token_of(hook.id)) == ({"signing": ["the first"]}, hook.token)


# --- presets --------------------------------------------------------------------------------


def test_presets_lists_them_all_with_their_documentation(webhooks, sqlite_database):
    listed = webhooks("presets", "-o", "json").json
    assert [found["name"] for found in listed] == list(PRESETS)
    assert listed[0].keys() == {"name", "sender", "documentation"}


@presets
def test_presets_shows_one_whole(webhooks, sqlite_database, preset):
    out = webhooks("presets", preset.name).out
    texts = [preset.title, preset.documentation_url, preset.event_type, *preset.notes]
    texts += preset.filled_steps(url="<the webhook's URL>", secret="<the secret>")
    texts += [
        text for secret in preset.secrets for text in (f"{secret.purpose}: {secret.label}", secret.help)
    ]
    assert not [text for text in texts if text not in out]


@presets
def test_create_takes_the_options_that_presets_shows(webhooks, orders, tmp_path, preset):
    lines = [line.strip() for line in webhooks("presets", preset.name).out.splitlines()]
    options = [text for line in lines if line.startswith("--") for text in shlex.split(line)]
    call = next(shlex.split(line) for line in lines if line.startswith("airflow webhooks create"))
    done = webhooks(*CREATE, "--preset", preset.name, *secret_options(preset, tmp_path), *options)
    assert done.status == 0, done.err
    assert call[:8] == ["airflow", "webhooks", "create", "NAME", "--dag-id", "DAG", "--preset", preset.name]
    (stored,) = rows("webhook")
    assert preset.filter_example in stored.filter
    assert all(json.dumps(event) in stored.filter for event in preset.events)


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
@presets
def test_a_preset_is_data_too(webhooks, sqlite_database, output, read, preset):
    done = webhooks("presets", preset.name, "-o", output)
    shown = read(done.out)
    assert (shown["name"], shown["sender"], done.err) == (preset.name, preset.title, "")
    assert shown["secrets"] == [vars(secret) for secret in preset.secrets]
    assert (shown["steps"], shown["notes"]) == (list(preset.steps), list(preset.notes))


def test_a_preset_that_is_not_there_ends_with_2_and_one_line(webhooks, sqlite_database):
    done = webhooks("presets", "githb")
    assert (done.status, done.out, one_line(done.err)) == (2, "", True)
    assert "github" in done.err
