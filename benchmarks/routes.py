"""One POST to a webhook with ten routes against ten POSTs to ten webhooks: events a second at a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

import yaml

from benchmarks.client import Target
from benchmarks.figures import Row, ratio
from benchmarks.gateway import event_at, gateway_on
from benchmarks.payload import DAG_ID, MAPPING
from benchmarks.posts import Side, comparison
from benchmarks.quiet import wait_until_quiet
from benchmarks.scale import Scale
from benchmarks.site import Site, command

DATABASE = "routes"
ROUTES = 10
CONNECTIONS = 16
WARM_UP_SECONDS = 1.5
GOAL_RATIO = 4
CHILDREN = "SELECT count(*) FROM inbound_webhook_delivery WHERE parent_id IS NOT NULL"
SENT = "SELECT count(*) FROM inbound_webhook_delivery WHERE parent_id IS NULL"


@dataclass(frozen=True)
class InTurn(Target):
    """Several requests, one after the other."""

    requests: Iterator[bytes] = field(default_factory=lambda: cycle([b""]))

    def next_request(self) -> bytes:
        """The bytes to send now."""
        return next(self.requests)


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and how the answers compare with what the database holds."""
    airflow = site.airflow(DATABASE, dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    file = airflow.home / "routes.yaml"
    plain = [{"name": f"plain {number}", "dag_id": DAG_ID, "mapping": MAPPING} for number in range(ROUTES)]
    routes = [
        {"name": f"route {number}", "dag_id": DAG_ID, "mapping": MAPPING, "source": "all"}
        for number in range(ROUTES)
    ]
    file.write_text(yaml.safe_dump({"webhooks": [{"name": "all", "routes": "all"}, *routes, *plain]}))
    command(airflow, "webhooks", "import", str(file))

    def path_of(name: str) -> str:
        return urlsplit(command(airflow, "webhooks", "url", name).strip()).path

    with gateway_on(site, DATABASE) as gateway:
        one = Side(event_at(gateway, path_of("all")))
        requests = [event_at(gateway, path_of(each["name"])) for each in plain]
        ten = Side(InTurn(requests[0].port, b"", requests=cycle([each.request for each in requests])))
        for side in (one, ten):
            side.take(CONNECTIONS, WARM_UP_SECONDS, keep=False)
        for _ in range(scale.rounds):
            for side in (one, ten):
                wait_until_quiet()
                side.take(CONNECTIONS, scale.round_seconds)
    quotient = ROUTES * one.median / ten.median
    row = Row(
        measured=f"POSTs a second to a webhook with {ROUTES} routes, {CONNECTIONS} connections; in the next "
        f"column to {ROUTES} webhooks; the ratio is that of the events",
        ours=str(one),
        airflow=str(ten),
        ratio=ratio(quotient),
        goal=f"ratio ≥ {GOAL_RATIO}",
        met=quotient >= GOAL_RATIO,
    )
    accepted = sum(number for status, number in one.statuses.items() if status // 100 == 2)
    children = site.count(DATABASE, CHILDREN)
    equal = "equal" if children == ROUTES * accepted else "**not equal**"
    return [row], [
        comparison("Routes", "ours", [one, ten], "deliveries", site.count(DATABASE, SENT)),
        f"Routes: {ROUTES * accepted:,} events accepted, {children:,} children: {equal}",
    ]
