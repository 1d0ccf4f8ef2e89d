"""docker/nginx.conf, run by nginx itself in front of two servers that tell what reached them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.infrastructure.nginx import CONFIGURATION, Nginx

TOKEN = "f" * 64
PATH = f"/webhook/AAAAAAAAAA/{TOKEN}"


class Gateway(BaseHTTPRequestHandler):
    """Answers with its port, the path, the headers and the size of the body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    def _respond(self, body: bytes) -> None:
        seen = {"port": self.server.server_port, "path": self.path, "size": len(body), **self.headers}
        response = json.dumps(seen).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(response)))
        self.send_header("Connection", "close")  # or its thread would answer on after the server's end
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def gateways() -> Iterator[list[ThreadingHTTPServer]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Gateway) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture
def nginx(gateways, tmp_path: Path) -> Iterator[Nginx]:
    server = Nginx(tmp_path, [gateway.server_port for gateway in gateways])
    try:
        server.start()
        yield server
    finally:
        server.stop()


def post(nginx: Nginx, body: bytes = b"{}", **headers: str) -> requests.Response:
    return requests.post(nginx.url + PATH, data=body, headers=headers, timeout=30)


def test_nginx_finds_nothing_wrong_with_it(tmp_path):
    assert "syntax is ok" in Nginx(tmp_path, [1, 2]).check()


def test_both_gateways_get_requests(nginx, gateways):
    ports = {post(nginx).json()["port"] for _ in range(8)}
    assert ports == {gateway.server_port for gateway in gateways}


def test_a_gateway_that_is_gone_is_left_out(nginx, gateways):
    gone = gateways[0]
    gone.shutdown()
    gone.server_close()
    assert {post(nginx).status_code for _ in range(8)} == {202}


def test_a_gateway_sees_the_path_the_host_and_the_true_address(nginx):
    seen = post(nginx, **{"X-Forwarded-For": "192.0.2.1", "X-Signature": "as sent"}).json()
    assert (seen["path"], seen["X-Forwarded-For"]) == (PATH, "127.0.0.1")
    assert (seen["Host"], seen["X-Signature"]) == (nginx.url.removeprefix("http://"), "as sent")


@pytest.mark.parametrize("kind", ["wait", "result"])
def test_another_url_with_a_token_reaches_a_gateway_and_its_token_no_log(nginx, kind):
    path = f"/webhook/{kind}/{'a' * 32}/"
    assert requests.get(nginx.url + path + TOKEN, timeout=30).json()["path"] == path + TOKEN
    log = nginx.log.read_text()
    assert f"GET {path}*** 202" in log
    assert TOKEN not in log


def test_nginx_is_patient_with_a_response_that_waits_for_its_run():
    from inbound_webhooks.event.sizes import MAX_WAIT_SECONDS

    found = re.search(r"proxy_read_timeout (\d+)s;", CONFIGURATION.read_text())
    assert found is not None
    assert int(found[1]) > MAX_WAIT_SECONDS


def test_a_large_body_is_for_the_gateway_to_refuse(nginx):
    assert post(nginx, b"x" * 5_000_000).json()["size"] == 5_000_000


def test_nginx_is_alive_without_any_gateway(nginx, gateways):
    for gateway in gateways:
        gateway.shutdown()
        gateway.server_close()
    assert requests.get(f"{nginx.url}/alive", timeout=30).status_code == 204


def test_nothing_but_webhooks_and_health_is_there(nginx):
    for path in ("/", "/webhooks/api/health", "/api/v2/dags", "/auth/token"):
        assert requests.get(nginx.url + path, timeout=30).status_code == 404


def test_no_token_is_in_the_log_even_where_no_gateway_answers(nginx, gateways):
    post(nginx)
    for gateway in gateways:
        gateway.shutdown()
        gateway.server_close()
    assert post(nginx).status_code in (502, 504)
    log = nginx.log.read_text()
    assert "POST /webhook/AAAAAAAAAA/*** 202" in log
    assert TOKEN not in log
