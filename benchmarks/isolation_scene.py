"""Where A attacks and B is measured: an api-server with a dispatcher, and a gateway, on one database.

All options have their defaults. B's load and A's come from different addresses.
Besides this package it needs the API, the tables and the commands of the product alone, so an older commit
can be measured with it: run `python -m benchmarks --only isolation` here with that commit's Python.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from typing import Any

from benchmarks.attacker_process import attacking
from benchmarks.attacks import ATTACKS, MIXTURE
from benchmarks.client import Round, Target, get, post
from benchmarks.payload import event
from benchmarks.quiet import wait_until_quiet
from benchmarks.scale import Scale
from benchmarks.site import DAGS_FOLDER, TEMPLATE, Site, running
from benchmarks.victim import paced
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.mail_server import MailServer
from tests.infrastructure.postgres import free_port

DATABASE = "isolation"
MAILS = 2_000
SILENT = 2_000
DISABLINGS = 3
REST_SECONDS = 10
"""Of a call for B, the goal of which is two."""

RECOVERY_SECONDS = 120
RECOVERED_SECONDS = 0.25
"""B is answered within this again."""

API_SERVER, GATEWAY = "api-server", "gateway"

# What A leaves behind; B's webhook and its deliveries stay.
CLEANUP = (
    "DELETE FROM inbound_webhook WHERE id <> %(b)s",
    "DELETE FROM inbound_webhook_mail WHERE webhook_id <> %(b)s",
    "DELETE FROM inbound_webhook_delivery WHERE webhook_id <> %(b)s",
    "VACUUM inbound_webhook_delivery",
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What B and Airflow got meanwhile; ``airflow`` is None at the gateway.

    ``disablings`` are status and seconds of each. ``refused`` says why the attack was not saved.
    ``attack`` is what the attacker reports of itself.
    """

    b: Round
    airflow: Round | None = None
    disablings: Sequence[tuple[int, float]] = ()
    refused: str = ""
    attack: str = ""


@dataclass(frozen=True)
class Scene:
    """Both endpoints, up."""

    site: Site
    scale: Scale
    airflow: AirflowProcesses
    gateway: GatewayProcess
    mail_port: int
    bearer: str

    def quiet(self, endpoint: str) -> Taken:
        """The load without A."""
        self._wait_until_recovered()
        b, *own = asyncio.run(paced(self._targets(endpoint), seconds=self.scale.attack_seconds))
        return Taken(b=b, airflow=own[0] if own else None, disablings=self._disable_b())

    def attacked(self, endpoint: str, name: str) -> Taken:
        """The same load while A attacks."""
        names = list(ATTACKS) if name == MIXTURE else [name]
        log = self.site.folder / f"attacker-{endpoint}-{name}.log"
        with attacking(names, self._stage(endpoint), log) as (refused, ended):
            if set(names) <= refused.keys():
                return Taken(b=Round(), refused=" ".join(refused.values()))
            rounds = asyncio.run(paced(self._targets(endpoint), seconds=self.scale.attack_seconds))
            disablings = self._disable_b()
            report = ended()
        self._clean_up()
        airflow = rounds[1] if len(rounds) > 1 else None
        return Taken(b=rounds[0], airflow=airflow, disablings=disablings, attack=report)

    def _targets(self, endpoint: str) -> list[Target]:
        if endpoint == GATEWAY:
            path = self.site.webhook_path.removeprefix("/pluginsv2")
            return [post(self.gateway.port, path, event())]
        return [self.site.webhook(self.airflow.port), get(self.airflow.port, "/api/v2/version")]

    def _stage(self, endpoint: str) -> dict[str, Any]:
        at_gateway = endpoint == GATEWAY
        return {
            "endpoint_port": self.gateway.port if at_gateway else self.airflow.port,
            "prefix": "" if at_gateway else "/pluginsv2",
            "api_port": self.airflow.port,
            "bearer": self.bearer,
            "database_url": self.site.url(DATABASE),
            "mail_port": self.mail_port,
            "waiting": self.scale.deleted,
            "mails": MAILS,
            "silent": SILENT,
            # The load, responses that never come, and the disablings.
            "seconds": self.scale.attack_seconds + 10 + 2 * DISABLINGS * REST_SECONDS,
        }

    # --- B's webhook ------------------------------------------------------------------------

    @property
    def _b(self) -> str:
        return self.site.webhook_path.split("/")[-2]

    def _disable_b(self) -> list[tuple[int, float]]:
        taken: list[tuple[int, float]] = []
        # Once it has failed, another attempt says no more.
        while len(taken) < DISABLINGS and all(status == 200 for status, _ in taken):
            taken.append(self._change_b("disable"))
            self._change_b("enable")
        return taken

    def _change_b(self, what: str) -> tuple[int, float]:
        connection = HTTPConnection("127.0.0.1", self.airflow.port, timeout=REST_SECONDS)
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}
        started = time.perf_counter()
        try:
            connection.request("POST", f"/webhooks/api/v1/webhooks/{self._b}/{what}", b"{}", headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, HTTPException):
            status = 0
        finally:
            connection.close()
        return status, time.perf_counter() - started

    # --- between attacks --------------------------------------------------------------------

    def _clean_up(self) -> None:
        connection = self.site.cluster.connect(DATABASE)
        try:
            connection.autocommit = True
            for statement in CLEANUP:
                connection.cursor().execute(statement, {"b": self._b})
        finally:
            connection.close()
        self._wait_until_recovered()

    def _wait_until_recovered(self) -> None:
        """Return once both endpoints answer B at once again, and the machine has done with the attack."""
        give_up_at = time.monotonic() + RECOVERY_SECONDS
        self._change_b("enable")
        targets = [*self._targets(API_SERVER), *self._targets(GATEWAY)]
        while not all(map(_is_well, asyncio.run(paced(targets, seconds=RECOVERED_SECONDS)))):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"B gets no response {RECOVERY_SECONDS} s after an attack")
            self._change_b("enable")
        wait_until_quiet()


def _is_well(taken: Round) -> bool:
    return taken.accepted == len(taken.latencies) and max(taken.latencies) < RECOVERED_SECONDS


@contextmanager
def set_up(site: Site, scale: Scale) -> Iterator[Scene]:
    """Start both endpoints."""
    mails = MailServer(port=free_port())
    url = site.cluster.create_database(DATABASE, template=TEMPLATE)
    home = site.folder / DATABASE
    variables = {"AIRFLOW_CONN_SMTP_DEFAULT": mails.connection()}
    airflow = AirflowProcesses(home, url, dags_folder=DAGS_FOLDER, env=variables)
    with ExitStack() as ended:
        ended.enter_context(running(airflow))
        gateway = GatewayProcess(home, url)
        ended.callback(gateway.stop)
        yield Scene(site, scale, airflow, gateway.wait(), mails.port, airflow.token())


def merged(rounds: Sequence[Round]) -> Round:
    """All of them as one."""
    whole = Round()
    for part in rounds:
        whole = replace(
            whole,
            statuses=whole.statuses + part.statuses,
            latencies=whole.latencies + part.latencies,
            seconds=whole.seconds + part.seconds,
        )
    return whole
