"""The gateway against other receivers, and how it stands load, size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import pages
from benchmarks.client import Connection, Target, opened, post
from benchmarks.figures import Row, latencies, percentile, ratio
from benchmarks.payload import event, github_headers
from benchmarks.peers import adnanh_webhook, bare_starlette, node_red
from benchmarks.posts import DELIVERIES, Side, comparison
from benchmarks.quiet import wait_until_quiet
from benchmarks.scale import Scale
from benchmarks.site import Site, running
from tests.infrastructure.gateway_process import GatewayProcess

DATABASE = "gateway"
CONNECTIONS = (16, 32)
WARM_UP_SECONDS = 1.5
GOAL_TIMES_OWN_API = 100
GOAL_SIGNED = 0.7
GOAL_BARE = 0.5
GOAL_SIZE = 0.9
GOAL_P99_SECONDS = 0.020
GOAL_BYTES = 350 * 1024 * 1024
STEADY_A_SECOND = 500

UNLIMITED = {"max_requests_per_second_per_address": 10_000_000, "max_backlog": 100_000_000}


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The rows, and how the answers compare with what the database holds."""
    airflow = site.airflow(DATABASE, dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ended:
        own = ended.enter_context(running(airflow))
        gateway = ended.enter_context(gateway_on(site, DATABASE))
        bare = ended.enter_context(bare_starlette(airflow.home, site.url(DATABASE)))
        webhook = ended.enter_context(adnanh_webhook(airflow.home))
        flow = ended.enter_context(node_red(airflow.home))
        targets = {
            "gateway": event_at(gateway, site.webhook_path),
            "signed": post(
                gateway.port, at_gateway(site.event_path), event(), headers=github_headers(event())
            ),
            "bare": post(bare, "/webhook", event()),
            "own": site.trigger(own),
        }
        if webhook is not None:
            targets["adnanh"] = post(webhook, "/webhook/order", event())
        if flow is not None:
            targets["node-red"] = post(flow, "/webhook", event())
        rows, ours = [], []
        for connections in CONNECTIONS:
            sides = _taken(targets, connections, scale)
            rows += _rows(sides, connections)
            ours += [sides["gateway"], sides["signed"]]
        steady, steady_side = _steady(targets["gateway"], scale)
        rows.append(steady)
        stored = site.count(DATABASE, DELIVERIES)
    return rows, [comparison("Gateway", "ours", [*ours, steady_side], "deliveries", stored)]


def measure_size(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The same with few and with many webhooks and deliveries, in turn; and its memory over many requests."""
    for name in ("gateway_few", pages.DATABASE_WITH_MANY):
        site.airflow(name, dispatcher=False).home.mkdir(parents=True, exist_ok=True)
    pages.fill(site, scale)
    with gateway_on(site, "gateway_few") as small, gateway_on(site, pages.DATABASE_WITH_MANY) as large:
        wait_until_quiet()
        few, many = Side(event_at(small, site.webhook_path)), Side(event_at(large, site.webhook_path))
        for side in (few, many):
            side.take(CONNECTIONS[0], WARM_UP_SECONDS, keep=False)
        for _ in range(scale.rounds):
            few.take(CONNECTIONS[0], scale.round_seconds)
            many.take(CONNECTIONS[0], scale.round_seconds)
        memory = _memory(small, few, scale)
    quotient = many.median / few.median
    return [
        Row(
            measured=f"Gateway with {scale.webhooks:,} webhooks and {scale.stored:,} deliveries in the "
            "database; in the next column with 4 and none",
            ours=str(many),
            airflow=str(few),
            ratio=ratio(quotient),
            goal="within 10 %",
            met=quotient >= GOAL_SIZE,
        ),
        memory,
    ], [
        comparison("Gateway", "ours", [few], "deliveries", site.count("gateway_few", DELIVERIES)),
    ]


def _taken(targets: dict[str, Target], connections: int, scale: Scale) -> dict[str, Side]:
    """A round of each in turn, each on a machine that has done with the one before."""
    sides = {name: Side(target) for name, target in targets.items()}
    for side in sides.values():
        side.take(connections, WARM_UP_SECONDS, keep=False)
    for _ in range(scale.rounds):
        for side in sides.values():
            wait_until_quiet()
            side.take(connections, scale.round_seconds)
    wait_until_quiet()
    return sides


def _rows(sides: dict[str, Side], connections: int) -> list[Row]:
    ours = sides["gateway"]

    def against(name: str, label: str, goal: float, text: str) -> Row:
        other = sides[name]
        # Where next to nothing was answered in time there is nothing to compare with.
        quotient = ours.median / other.median if other.median >= 1 else None
        return Row(
            measured=f"Gateway, one process, {connections} connections; in the next column {label}",
            ours=str(ours),
            airflow=str(other),
            ratio="" if quotient is None else ratio(quotient),
            goal=text,
            met=None if quotient is None else quotient >= goal,
        )

    rows = [
        against("own", "`POST …/dagRuns`", GOAL_TIMES_OWN_API, f"ratio ≥ {GOAL_TIMES_OWN_API}"),
        against("bare", "a bare Starlette route that only inserts", GOAL_BARE, f"ratio ≥ {GOAL_BARE}"),
    ]
    if "adnanh" in sides:
        rows.append(against("adnanh", "adnanh/webhook, which stores nothing", 1, "ratio > 1"))
    if "node-red" in sides:
        rows.append(against("node-red", "Node-RED, which stores nothing", 1, "ratio > 1"))
    signed = sides["signed"]
    quotient = signed.median / ours.median
    rows.append(
        Row(
            measured=f"Gateway with GitHub's preset and deduplication, {connections} connections; "
            "in the next column without",
            ours=str(signed),
            airflow=str(ours),
            ratio=ratio(quotient),
            goal=f"ratio ≥ {GOAL_SIGNED}",
            met=quotient >= GOAL_SIGNED,
        )
    )
    return rows


def _steady(target: Target, scale: Scale) -> tuple[Row, Side]:
    """Answers at a steady rate, whatever they take; a late start counts as waiting."""
    side = Side(target)
    waits = asyncio.run(paced(side, STEADY_A_SECOND, scale.steady_seconds))
    p99 = percentile(waits, 99)
    return Row(
        measured=f"Gateway's answers at {STEADY_A_SECOND} requests a second, {len(waits):,} requests",
        ours=latencies(waits),
        goal=f"p99 < {GOAL_P99_SECONDS * 1000:.0f} ms",
        met=p99 < GOAL_P99_SECONDS,
    ), side


async def paced(side: Side, a_second: int, seconds: float) -> list[float]:
    """Send at a steady rate for so long; returns the seconds from when each request was due."""
    started = time.perf_counter()
    waits: list[float] = []
    async with opened(CONNECTIONS[1]) as channels:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for channel in channels:
            free.put_nowait(channel)

        async def one(due: float) -> None:
            channel = await free.get()
            status, _ = await channel.send(side.target)
            free.put_nowait(channel)
            side.statuses[status] += 1
            waits.append(time.perf_counter() - due)

        sent = []
        for position in range(int(a_second * seconds)):
            due = started + position / a_second
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            sent.append(asyncio.create_task(one(due)))
        await asyncio.gather(*sent)
    return waits


def _memory(gateway: GatewayProcess, side: Side, scale: Scale) -> Row:
    """What the process takes, looked at in tenths of the requests."""
    taken: list[int] = []
    sent = 0
    while sent < scale.memory_requests:
        sent += side.take(CONNECTIONS[1], scale.round_seconds, keep=False).accepted
        taken.append(_resident_bytes(gateway.process.pid))
    first, most = taken[len(taken) // 10], max(taken)
    return Row(
        measured=f"Memory of a gateway process over {sent:,} requests",
        ours=f"{first // 2**20} MB after a tenth, {taken[-1] // 2**20} MB at the end, "
        f"{most // 2**20} MB at most",
        goal="flat, under 350 MB",
        met=most < GOAL_BYTES and taken[-1] < first * 1.1,
    )


def _resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def gateway_on(site: Site, database: str) -> Iterator[GatewayProcess]:
    """A gateway on a database of the site."""
    process = GatewayProcess(site.folder / database, site.url(database), **UNLIMITED)
    try:
        yield process.wait()
    finally:
        process.stop()


def event_at(gateway: GatewayProcess, path: str) -> Target:
    """The 1 KB event to a webhook."""
    return post(gateway.port, at_gateway(path), event())


def at_gateway(path: str) -> str:
    """The path of a webhook at a gateway."""
    return path.removeprefix("/pluginsv2")
