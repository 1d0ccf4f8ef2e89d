"""Real api-servers behind real proxies: whose address counts, path prefixes, and forms over TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.acceptance.webhooks import Webhook, create
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.nginx import PrefixNginx
from tests.infrastructure.tls_server import certificate_files

pytestmark = pytest.mark.long

NOT_FOUND = {"status": "rejected", "error": "Not found."}
ALLOWED, OTHER = "203.0.113.7", "192.0.2.1"
PATH = "/airflow"
SECONDS = 60


@pytest.fixture(scope="module")
def airflows(tmp_path_factory, template_of) -> Iterator:
    """A function that makes an Airflow on SQLite whose api-server is started by each story itself."""
    with ExitStack() as ended:

        def made(path: str = "", **variables: str) -> AirflowProcesses:
            home = tmp_path_factory.mktemp("behind-proxies")
            airflow = AirflowProcesses(home, template_of("sqlite").for_airflow(home))
            airflow.environment |= {
                "AIRFLOW__API__BASE_URL": airflow.url + path,
                "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED": "False",
                **variables,
            }
            airflow.url += path
            ended.callback(airflow.stop)
            return airflow

        yield made


@contextmanager
def api_server(airflow: AirflowProcesses, *options: str, **variables: str) -> Iterator[AirflowProcesses]:
    """The api-server with these options and variables, until the block ends."""
    before = dict(airflow.environment)
    airflow.environment.update(variables)
    command = ("api-server", "--host", "127.0.0.1", "--port", str(airflow.port), "--workers", "1")
    airflow.launch("api-server", *command, *options)
    try:
        airflow.wait_until_healthy()
        yield airflow
    finally:
        airflow.stop("api-server")
        airflow.environment.clear()
        airflow.environment.update(before)


def post(url: str, forwarded_for: str) -> requests.Response:
    headers = {"Content-Type": "application/json", "X-Forwarded-For": forwarded_for}
    return requests.post(url, data=b"{}", headers=headers, timeout=SECONDS)


# --- whose address counts -----------------------------------------------------------------------

TRUSTED = "127.0.0.1/32"
SERVERS = ("uvicorn", "gunicorn")
REPLACING = {
    "uvicorn": {"FORWARDED_ALLOW_IPS": "*"},
    # Airflow's own default there is to trust every address.
    "gunicorn": {},
}


@pytest.fixture(scope="module")
def listing(airflows) -> tuple[AirflowProcesses, Webhook]:
    """A webhook with allowed addresses; this machine is a trusted proxy."""
    airflow = airflows(AIRFLOW__INBOUND_WEBHOOKS__TRUSTED_PROXIES=TRUSTED)
    return airflow, create(airflow, "listed", "--dag-id", "event_log", "--allow", "203.0.113.0/24")


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_replaces_addresses_lets_none_of_them_in(listing, server):
    airflow, webhook = listing
    variables = {"AIRFLOW__API__SERVER_TYPE": server, **REPLACING[server]}
    log = airflow.log("api-server")
    logged = log.stat().st_size if log.exists() else 0
    with api_server(airflow, "--proxy-headers", **variables):
        for forged in (ALLOWED, f"{ALLOWED}:4000", f"{ALLOWED}, {OTHER}"):
            response = post(webhook.url, forged)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert "code=client-address-replaced" in log.read_text()[logged:]


@pytest.mark.parametrize("server", SERVERS)
def test_with_the_options_that_the_log_asks_for_trusted_proxies_decide(listing, server):
    airflow, webhook = listing
    with api_server(airflow, AIRFLOW__API__SERVER_TYPE=server, FORWARDED_ALLOW_IPS=""):
        assert post(webhook.url, f"{OTHER}, {ALLOWED}").status_code == 202
        assert post(webhook.url, f"{ALLOWED}, {OTHER}").status_code == 403


# --- path prefixes ------------------------------------------------------------------------------


def directives(port: int, *, keeps: bool, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Of a location below PATH, for a server on this machine; what is not set is nginx's own default."""
    return (
        f"proxy_pass http://127.0.0.1:{port}{'' if keeps else '/'}",
        "proxy_http_version 1.1",
        "proxy_set_header X-Forwarded-For $remote_addr",
        "proxy_set_header X-Forwarded-Proto $scheme",
        *(more or ("proxy_set_header Host $http_host",)),
    )


@contextmanager
def behind(folder, port: int, *, keeps: bool, tls: bool, more: tuple[str, ...] = ()) -> Iterator[PrefixNginx]:
    files = certificate_files("localhost", folder) if tls else None
    nginx = PrefixNginx(folder, f"{PATH}/", directives(port, keeps=keeps, more=more), files)
    try:
        nginx.start()
        yield nginx
    finally:
        nginx.stop()


WAYS = {
    "keeps": {"keeps": True, "tls": False},
    "strips": {"keeps": False, "tls": False},
    "keeps, TLS": {"keeps": True, "tls": True},
    "strips, TLS": {"keeps": False, "tls": True},
}
WRONG_PATHS = (f"{PATH}/other/pluginsv2/webhook", f"{PATH}/webhook", f"{PATH}/pluginsv2/Webhook")


def ask(nginx: PrefixNginx, method: str, path: str) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    data = b"{}" if method == "POST" else None
    return requests.request(
        method, nginx.url + path, data=data, headers=headers, timeout=SECONDS, verify=nginx.ca_file or True
    )


def check_endpoint(nginx: PrefixNginx, path: str) -> None:
    """The URL of a webhook works, and one with another token does not."""
    assert ask(nginx, "POST", path).status_code == 202
    assert ask(nginx, "GET", path).json() == {"status": "verified"}
    check_not_found(nginx, path[:-1] + ("0" if path[-1] != "0" else "1"))


def check_not_found(nginx: PrefixNginx, path: str) -> None:
    """Both methods get a 404 of ours, never a page of Airflow."""
    for method in ("GET", "POST"):
        response = ask(nginx, method, path)
        assert response.status_code == 404, (path, response.text)
        assert response.json() == NOT_FOUND, path


@pytest.fixture(scope="module")
def below_a_path(airflows) -> Iterator[tuple[AirflowProcesses, Webhook]]:
    """An api-server whose base_url has a path; it believes the proxy's X-Forwarded-Proto."""
    airflow = airflows(PATH)
    webhook = create(airflow, "below a path", "--dag-id", "event_log")
    with api_server(airflow, "--proxy-headers"):
        yield airflow, webhook


@pytest.mark.parametrize("way", WAYS)
def test_a_prefix_of_the_base_url_works_whether_it_is_kept_or_stripped(below_a_path, tmp_path, way):
    airflow, webhook = below_a_path
    with behind(tmp_path, airflow.port, **WAYS[way]) as nginx:
        check_endpoint(nginx, webhook.path)
        for wrong in WRONG_PATHS:
            check_not_found(nginx, f"{wrong}/{webhook.id}/{webhook.token}")


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_pages_work_below_a_prefix_that_is_kept(below_a_path, tmp_path, tls):
    airflow, _ = below_a_path
    with behind(tmp_path, airflow.port, keeps=True, tls=tls) as nginx:
        page = ask(nginx, "GET", f"{PATH}/pluginsv2/webhooks/")
        assert page.status_code == 200
        (style,) = re.findall(r'href="([^"]+pages\.css[^"]*)"', page.text)
        assert ask(nginx, "GET", style).status_code == 200


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "strips"])
def test_a_prefix_that_airflow_does_not_know_works_or_is_our_own_404(airflows, tmp_path, keeps):
    airflow = airflows()
    webhook = create(airflow, "without a path", "--dag-id", "event_log")
    with api_server(airflow), behind(tmp_path, airflow.port, keeps=keeps, tls=False) as nginx:
        if keeps:
            check_not_found(nginx, f"{PATH}{webhook.path}")
        else:
            check_endpoint(nginx, f"{PATH}{webhook.path}")


@pytest.fixture(scope="module")
def gateway_below_a_path(airflows) -> Iterator[tuple[GatewayProcess, Webhook]]:
    """A gateway whose public_url has a path."""
    public_url = f"https://hooks.example.com{PATH}"
    airflow = airflows(AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL=public_url)
    webhook = create(airflow, "at a gateway", "--dag-id", "event_log")
    database_url = airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    gateway = GatewayProcess(airflow.home, database_url, public_url=public_url)
    try:
        yield gateway.wait(), webhook
    finally:
        gateway.stop()


@pytest.mark.parametrize("way", WAYS)
def test_a_prefix_of_the_public_url_works_at_a_gateway(gateway_below_a_path, tmp_path, way):
    gateway, webhook = gateway_below_a_path
    with behind(tmp_path, gateway.port, **WAYS[way]) as nginx:
        check_endpoint(nginx, webhook.path)
        check_not_found(nginx, f"{PATH}/in{webhook.path}")


# --- forms over TLS -----------------------------------------------------------------------------

# Only an api-server runs here, so that Airflow knows no DAG: what the form then asks is answered.
FORM = {
    **{"enabled": "y", "dag_id": "event_log", "unknown_dag": "1", "action": "save"},
    "response_content_type": "application/json",
}
STATUSES = {"disabled_status": "403", "invalid_status": "422"}
KEEPS_HOST = ("proxy_set_header Host $http_host",)
DROPS_HOST = ("proxy_set_header X-Request-Id 1",)
DROPS_REFERER = (*KEEPS_HOST, 'proxy_set_header Referer ""')


def submitted(nginx: PrefixNginx, name: str) -> requests.Response:
    """What a browser gets that fills in the form for a new webhook."""
    new = f"{nginx.url}{PATH}/pluginsv2/webhooks/new"
    with requests.Session() as browser:
        # Else an environment that names certificates of its own goes first.
        browser.trust_env, browser.verify = False, nginx.ca_file or True
        page = browser.get(new, timeout=SECONDS)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None, page.text
        fields = FORM | STATUSES | {"name": name, "csrf_token": found[1]}
        headers = {"Referer": new}
        return browser.post(new, data=fields, headers=headers, timeout=SECONDS, allow_redirects=False)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (KEEPS_HOST, None),
        (DROPS_HOST, "proxy_set_header Host $http_host"),
        (DROPS_REFERER, "The form arrived without a Referer header"),
    ],
    ids=["keeps both", "drops Host", "drops Referer"],
)
def test_a_form_over_tls_says_which_header_the_proxy_drops(below_a_path, tmp_path, more, sentence):
    airflow, _ = below_a_path
    with behind(tmp_path, airflow.port, keeps=True, tls=True, more=more) as nginx:
        response = submitted(nginx, f"over TLS {tmp_path.name}")
    if sentence is None:
        assert response.status_code == 303
        assert response.headers["Location"].startswith(f"{PATH}/pluginsv2/webhooks/")
    else:
        assert (response.status_code, sentence in response.text) == (400, True)
