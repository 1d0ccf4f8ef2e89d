"""After a way through all features: is a secret in a file, a page, an answer, a mail, a figure or a row?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.database import ask, everything, execute
from tests.acceptance.program import Program
from tests.acceptance.webhooks import Webhook, post, read_webhook
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.mail_server import MailServer
from tests.infrastructure.postgres import free_port
from tests.infrastructure.statsd import StatsdServer

pytestmark = pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)

SECONDS = 90
EVENT = b'{"id": "canary", "n": 1}'
SECRETS = {
    name: f"canary-{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    for name in (
        *("signing", "signing, rotated", "authorization", "body", "verify", "password", "caller"),
        *("wrong password", "cookie", "query", "tried", "api", "api, rotated", "api, wrong", "file"),
    )
}
FILE_SECRET = "CANARY_FILE_SECRET"
API = "webhooks/api/v1"
BASIC = {"kind": "basic", "username": "canary"}
CALLER = {"kind": "header-key", "header": "X-Caller"}


@dataclass
class Stage:
    """What happened: the webhooks by name, tokens that are or were theirs, and all that was said."""

    webhooks: dict[str, Webhook]
    tokens: list[str]
    mails: list[str]
    responses: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    exported: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    gateway_figures: str = ""


@pytest.fixture(scope="module")
def command(airflow: AirflowProcesses) -> Iterator[Callable[..., str]]:
    """Run `airflow webhooks …` on that Airflow's database, in this process: a new one takes seconds."""
    from airflow.cli import cli_parser

    from tests.infrastructure.databases import URL_VARIABLE, connect_airflow, disconnect_airflow

    parser = cli_parser.get_parser()

    def run(*arguments: str, input: str = "") -> str:
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
            args = parser.parse_args(["webhooks", *arguments])
            with suppress(SystemExit):  # what it says before it ends so is looked at as well
                args.func(args)
        return output.getvalue()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API__BASE_URL", airflow.url)
        patch.setenv(FILE_SECRET, SECRETS["file"])
        connect_airflow(airflow.environment[URL_VARIABLE])
        yield run
        disconnect_airflow()


@pytest.fixture(scope="module")
def story(
    airflow: AirflowProcesses,
    webhooks: dict[str, Webhook],
    command: Callable[..., str],
    statsd: StatsdServer,
    mail_server: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    folder = tmp_path_factory.mktemp("canaries")
    story = Stage({}, tokens=[], mails=[])
    for name, arguments in definitions_in(folder).items():
        printed = command("create", name, *arguments, "-o", "json")
        story.webhooks[name] = read_webhook(printed[printed.index("{") : printed.rindex("}") + 1])
    story.tokens = [webhook.token for webhook in story.webhooks.values()]
    send_all(story, list(story.webhooks.values()))
    change_and_look(airflow, command, story)
    use_files(command, story, folder)
    use_the_api(airflow, story)
    use_the_gateway(airflow, story)
    break_what_can_break(airflow, story)
    wait_for_mails(airflow, mail_server, story)
    story.pages |= read_pages(airflow, story)
    story.figures = statsd.heard()
    return story


def definitions_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """The arguments of `create`, with a file for each secret."""
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret)
    recipient = ("--notify-success", "canary@example.com")
    preset = {
        "github": ("--secret", f"@{folder}/signing", *recipient),
        "okta": ("--secret", f"@{folder}/authorization"),
        "microsoft-graph": ("--secret", f"@{folder}/body"),
        "meta": ("--secret", f"@{folder}/signing", "--secret", f"verify=@{folder}/verify"),
    }
    scheme = {
        "basic": ("--verify", json.dumps(BASIC), "--secret", f"@{folder}/password"),
        "caller": ("--verify", json.dumps(CALLER), "--secret", f"@{folder}/caller"),
    }
    all_of_them = {name: ("--preset", name, *more) for name, more in preset.items()} | scheme
    return {f"canary-{name}": ("--dag-id", "event_log", *more) for name, more in all_of_them.items()}


def signature(secret: str) -> dict[str, str]:
    made = hmac.new(SECRETS[secret].encode(), EVENT, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={made}", "X-GitHub-Event": "push"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"canary:{password}".encode()).decode()}


def send_all(story: Stage, webhooks: list[Webhook]) -> None:
    """Requests of every kind, right and wrong."""
    hook = {webhook.name.removeprefix("canary-"): webhook for webhook in webhooks}
    graph = b'{"value": [{"clientState": "%s", "id": "1"}]}' % SECRETS["body"].encode()
    extra = {"Cookie": f"session={SECRETS['cookie']}", "X-Api-Key": SECRETS["authorization"]}
    sent = [
        post(hook["github"], EVENT, signature("signing") | extra),
        post(hook["github"], EVENT, signature("password")),
        post(hook["github"], b"{" + EVENT, {}),
        post(hook["okta"], EVENT, {"Authorization": SECRETS["authorization"]}),
        post(hook["okta"], EVENT, {"Authorization": SECRETS["wrong password"]}),
        post(hook["microsoft-graph"], graph),
        post(hook["basic"], EVENT, basic(SECRETS["password"])),
        post(hook["basic"], EVENT, basic(SECRETS["wrong password"])),
        post(hook["caller"], EVENT, {"X-Caller": SECRETS["caller"]}),
        requests.post(
            f"{hook['caller'].url}?access_token={SECRETS['query']}&signature={SECRETS['query']}",
            data=EVENT,
            headers={"X-Caller": SECRETS["caller"], "Content-Type": "application/json"},
            timeout=60,
        ),
        requests.get(f"{hook['meta'].url}?hub.mode=subscribe&{verify('verify')}", timeout=60),
        requests.get(f"{hook['meta'].url}?hub.mode=subscribe&{verify('wrong password')}", timeout=60),
        requests.post(hook["github"].url.replace(hook["github"].id, "AAAAAAAAAA"), data=EVENT, timeout=60),
        requests.put(hook["okta"].url, data=EVENT, timeout=60),
    ]
    story.responses += [f"{response.headers} {response.text}" for response in sent]
    statuses = [response.status_code for response in sent]
    assert statuses == [202, 401, 401, 200, 401, 202, 202, 401, 202, 202, 200, 403, 404, 405]


def verify(secret: str) -> str:
    return f"hub.challenge=1&hub.verify_token={SECRETS[secret]}"


def change_and_look(airflow: AirflowProcesses, command: Callable[..., str], story: Stage) -> None:
    """Every command that changes, shows or repeats."""
    github = story.webhooks["canary-github"]
    (delivery_id,) = [it for (it,) in ask(airflow, deliveries_of(github.id))]

    def run(*arguments: str, input: str = "") -> str:
        story.printed.append(command(*arguments, input=input))
        return story.printed[-1]

    (new_url,) = re.findall(rf"{airflow.url}\S+", run("rotate", github.name, "--grace-hours", "1"))
    story.tokens.append(new_url.rpartition("/")[2])
    run("rotate", github.name, "--secret", "-", "--grace-hours", "1", input=SECRETS["signing, rotated"])
    for secret in ("signing", "signing, rotated"):
        assert requests.post(new_url, EVENT, headers=signature(secret), timeout=60).status_code == 202
    run("replay", delivery_id)
    run("delivery", delivery_id)
    run("deliveries")
    run("list", "-o", "json")
    run("show", "canary-okta")
    tried = ("--header", f"Authorization: Bearer {SECRETS['tried']}", "--query", f"key={SECRETS['tried']}")
    tried += ("--header", "Content-Type: application/json")
    run("try", github.name, "--data", EVENT.decode(), *tried)


def use_files(command: Callable[..., str], story: Stage, folder: Path) -> None:
    """Definitions out and in, a back-test, and a file that is wrong in that it has the secret itself."""
    good, wrong, exported = folder / "good.yaml", folder / "wrong.yaml", folder / "exported.yaml"
    entry = {"name": "canary-file", "dag_id": "event_log", "preset": "github"}
    secrets = {good: f"env:{FILE_SECRET}", wrong: SECRETS["file"]}
    for file, secret in secrets.items():
        file.write_text(json.dumps({"webhooks": [entry | {"secrets": {"signing": secret}}]}))
    for file, options in ((good, ["--dry-run", "-o", "json"]), (good, []), (wrong, [])):
        story.printed.append(command("import", str(file), *options))
    for file in secrets:
        story.printed.append(command("check", str(file)))
    assert "not the secret itself" in story.printed[-1]
    story.exported = command("export")
    assert f"env:{FILE_SECRET}" in story.exported
    exported.write_text(story.exported.replace("canary@example.com", "canaries@example.com"))
    test = ("try", "canary-github", "--against-last", "5", "--file", str(exported))
    story.printed += [story.exported, command(*test), command(*test, "-o", "json")]


def use_the_api(airflow: AirflowProcesses, story: Stage) -> None:
    """What a program does and sees, mistakes included; no answer has what was sent as a secret."""
    program = Program(airflow.url, airflow.token())

    def ask_it(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        response = program(method, path, body)
        assert response.status_code == status, (method, path, response.text)
        story.pages[f"{API}{path} {method} {len(story.pages)}"] = f"{response.headers} {response.text}"
        return response.json()

    new = {"name": "canary-api", "dag_id": "event_log", "preset": "github"}
    made = ask_it("POST", "/webhooks", new | {"secrets": {"signing": SECRETS["api"]}}, status=201)
    ask_it("POST", "/webhooks", new | {"secrets": {"signing": SECRETS["api, wrong"]}}, status=409)
    for wrong in ([SECRETS["api"]], {"signing": [SECRETS["api"]]}, {"other": SECRETS["api"]}):
        ask_it("POST", "/webhooks", new | {"name": "wrong", "secrets": wrong}, status=422)
    hook = f"/webhooks/{made['id']}"
    for secret, status in (("api", 202), ("api, wrong", 401)):
        response = requests.post(made["url"], EVENT, headers=signature(secret), timeout=60)
        assert response.status_code == status
    ask_it("PATCH", hook, {"secrets": {"signing": SECRETS["api, rotated"]}})
    rotation = {"purpose": "signing", "secret": SECRETS["api"], "grace_hours": 1}
    ask_it("POST", f"{hook}/rotate", rotation)
    rotated = ask_it("POST", f"{hook}/rotate", {"grace_hours": 1})
    tried = {
        "body": "{}",
        "headers": [["Authorization", SECRETS["tried"]]],
        "query": f"key={SECRETS['tried']}",
    }
    ask_it("POST", f"{hook}/try", tried)
    ask_it("POST", f"{hook}/backTest", {"last": 5, "draft": {"filter": "body.n == 2"}})
    airflow.wait_for(lambda: program("GET", f"{hook}/rejections").json()["rejections"], what="it", seconds=30)
    for path in ("/webhooks?limit=100", hook, f"{hook}/rejections", "/deliveries?limit=100", "/openapi.json"):
        ask_it("GET", path)
    for (delivery_id,) in ask(airflow, deliveries_of(made["id"])):
        ask_it("GET", f"/deliveries/{delivery_id}")
        ask_it("POST", f"/deliveries/{delivery_id}/replay", {"remap": True}, status=201)
    story.tokens += [url.rpartition("/")[2] for url in (made["url"], rotated["url"])]


def use_the_gateway(airflow: AirflowProcesses, story: Stage) -> None:
    """The same requests at the other endpoint, whose log and figures are looked at too."""
    port, figures_port = free_port(), free_port()
    where = ("--port", str(port), "--metrics-port", str(figures_port))
    airflow.launch("gateway", "webhooks", "gateway", *where)
    url = f"http://127.0.0.1:{port}"
    airflow.wait_for(lambda: responses(f"{url}/health"), what="the gateway", seconds=SECONDS)
    below = f"{airflow.url}/pluginsv2"
    there = [replace(hook, url=hook.url.replace(below, url)) for hook in story.webhooks.values()]
    send_all(story, there)
    figures = f"http://127.0.0.1:{figures_port}/metrics"
    is_counted = lambda: "rejected.verification_failed" in read(figures)  # noqa: E731
    airflow.wait_for(is_counted, what="its metrics", seconds=SECONDS)
    story.gateway_figures = read(figures)


def responses(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).status_code in (200, 503)
    except requests.ConnectionError:
        return False


def read(url: str) -> str:
    return requests.get(url, timeout=60).text


def deliveries_of(webhook_id: str) -> str:
    return f"SELECT id FROM inbound_webhook_delivery WHERE webhook_id = '{webhook_id}' ORDER BY id"


def break_what_can_break(airflow: AirflowProcesses, story: Stage) -> None:
    """Faults of ours, with their tracebacks: at the endpoint and in the dispatcher."""
    okta, caller = story.webhooks["canary-okta"], story.webhooks["canary-caller"]
    # A server reads a webhook again where its version is another one.
    broken = f"UPDATE inbound_webhook SET version = version + 1, mapping = '%s' WHERE id = '{okta.id}'"
    execute(airflow, broken % "no JSON")
    headers = {"Authorization": SECRETS["authorization"]}
    assert post(okta, EVENT, headers).status_code == 503
    execute(airflow, f"UPDATE inbound_webhook_secret SET encrypted = 'x' WHERE webhook_id = '{okta.id}'")
    execute(airflow, broken % "{}")
    assert post(okta, EVENT, headers).status_code == 503
    execute(
        airflow,
        "UPDATE inbound_webhook_delivery SET state = 'accepted', conf = '[1]', next_attempt_at = now(),"
        f" run_id = NULL WHERE webhook_id = '{caller.id}'",
    )
    retried = f"SELECT 1 FROM inbound_webhook_delivery WHERE webhook_id = '{caller.id}' AND attempts > 1"
    airflow.wait_for(lambda: ask(airflow, retried), what="a poison delivery", seconds=SECONDS)


def wait_for_mails(airflow: AirflowProcesses, server: MailServer, story: Stage) -> None:
    added = airflow.airflow("connections", "add", "smtp_default", "--conn-json", server.connection())
    assert added.returncode == 0, added.stderr
    airflow.wait_for(lambda: server.messages, what="a mail", seconds=SECONDS)
    story.mails = [readable(message) for message in server.messages]


def readable(message: Message) -> str:
    """A mail's headers and its parts as they are read: on the wire a long line is broken, or Base64."""
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return "\n".join([message.as_string(), *(part.decode() for part in parts if isinstance(part, bytes))])


def read_pages(airflow: AirflowProcesses, story: Stage) -> dict[str, str]:
    """Path -> page, for everything that an admin can open of these webhooks."""
    paths = ["webhooks/", "webhooks/dag/event_log", "webhooks/new", "webhooks/dags.json"]
    paths += ["webhooks/deliveries", "webhooks/rejections", "webhooks/replays"]
    for webhook in story.webhooks.values():
        base = f"webhooks/hook/{webhook.id}"
        paths += [base, f"{base}/deliveries", f"{base}/deliveries/rows", f"{base}/fields.json"]
        paths += [f"{base}/recent.json"]
        for (delivery_id,) in ask(airflow, deliveries_of(webhook.id)):
            paths += [f"webhooks/delivery/{delivery_id}", f"webhooks/delivery/{delivery_id}.json"]
    with requests.Session() as session:
        session.cookies.set("_token", airflow.token())
        session.headers["Authorization"] = f"Bearer {airflow.token()}"
        pages = {path: session.get(f"{airflow.url}/pluginsv2/{path}", timeout=60) for path in paths}
        for path in ("api/v2/eventLogs?limit=1000", "api/v2/dags/event_log/dagRuns?limit=1000"):
            pages[path] = session.get(f"{airflow.url}/{path}", timeout=60)
        pages["webhooks/api/health"] = session.get(f"{airflow.url}/webhooks/api/health", timeout=60)
    problems = [path for path, page in pages.items() if page.status_code != 200]
    # The page of a delivery that is broken by hand; it is to say no more than the others.
    assert all(path.startswith("webhooks/delivery/") for path in problems), problems
    return {path: page.text for path, page in pages.items()}


def forms(secret: str) -> set[str]:
    """A secret as it may be written."""
    encoded = secret.encode()
    return {secret, encoded.hex(), base64.b64encode(encoded).decode().rstrip("=")}


def found_in(text: str, secrets: Any) -> list[str]:
    return [secret for secret in secrets if any(form in text for form in forms(secret))]


def all_secrets(story: Stage) -> list[str]:
    return [*SECRETS.values(), *story.tokens]


def test_no_file_of_the_airflow_home_has_a_secret(airflow, story):
    time.sleep(1)  # what is noted off the request's way
    files = [path for path in airflow.home.rglob("*") if path.is_file()]
    logs = {str(path): path.read_bytes().decode("latin-1") for path in files}
    problems = "\n".join(logs.values())
    assert "action=endpoint_error" in problems
    assert "action=thread_error" in problems
    assert "Traceback" in problems or "  File " in problems
    assert {name: found for name, text in logs.items() if (found := found_in(text, all_secrets(story)))} == {}


def test_the_database_has_no_secret_in_clear(airflow, story):
    dump = everything(airflow)
    assert all(webhook.id in dump for webhook in story.webhooks.values())
    assert found_in(dump, all_secrets(story)) == []


def test_no_page_and_no_api_has_a_secret(story):
    assert any("canary-github" in page for page in story.pages.values())
    assert {
        path: found for path, page in story.pages.items() if (found := found_in(page, SECRETS.values()))
    } == {}


def test_only_the_page_of_a_webhook_has_its_url(story):
    shown = {path for path, page in story.pages.items() if found_in(page, story.tokens)}
    pages = {f"webhooks/hook/{webhook.id}" for webhook in story.webhooks.values()}
    # The API shows it to those who may change the webhook, as the page does.
    assert {path for path in shown if not path.startswith(f"{API}/webhooks")} <= pages


def test_no_answer_has_a_secret(story):
    assert found_in("\n".join(story.responses), all_secrets(story)) == []


def test_no_export_has_a_secret_or_a_url(story):
    assert "canary-github" in story.exported
    assert found_in(story.exported, all_secrets(story)) == []


def test_no_command_prints_a_secret(story):
    said = "\n".join(story.printed)
    assert "canary-github" in said
    assert found_in(said, SECRETS.values()) == []


def test_no_mail_has_a_secret(story):
    assert any("<b>canary-github</b>" in mail for mail in story.mails)
    assert found_in("\n".join(story.mails), all_secrets(story)) == []


def test_no_figure_has_a_secret(story):
    sent = "\n".join(story.figures)
    assert "inbound_webhooks.rejected.verification_failed" in sent
    assert 'outcome="rejected.verification_failed"' in story.gateway_figures
    assert found_in(sent + story.gateway_figures, all_secrets(story)) == []
