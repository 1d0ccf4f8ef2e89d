"""Row 4: how long the door takes to turn away a wrong token and an unknown id."""

from __future__ import annotations

import asyncio
import statistics
import time

from benchmarks.client import Connection, Target, opened, post
from benchmarks.figures import Row, milliseconds
from benchmarks.payload import event
from benchmarks.scale import Scale
from benchmarks.site import Site, running

UNKNOWN_ID = "Xunknown00"
WRONG_TOKEN = "0" * 64
WARM_UP = 50


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row."""
    with running(site.airflow("door_times", dispatcher=False)) as airflow:
        prefix, webhook_id, token = site.webhook_path.rsplit("/", 2)
        wrong_token = post(airflow.port, f"{prefix}/{webhook_id}/{WRONG_TOKEN}", event())
        unknown_id = post(airflow.port, f"{prefix}/{UNKNOWN_ID}/{token}", event())
        asyncio.run(_in_turn((wrong_token, unknown_id), WARM_UP))
        wrong, unknown = asyncio.run(_in_turn((wrong_token, unknown_id), scale.wrong_posts))
    difference = abs(statistics.median(wrong) - statistics.median(unknown))
    return [
        Row(
            measured=f"404 of a wrong token, of an unknown id, median of {scale.wrong_posts} each",
            ours=f"{milliseconds(statistics.median(wrong))}, {milliseconds(statistics.median(unknown))}"
            f"<br>difference {difference * 1000:.2f} ms",
        )
    ]


async def _in_turn(targets: tuple[Target, Target], number: int) -> list[list[float]]:
    """The seconds of each answer, of one target after the other on one connection."""
    waits: list[list[float]] = [[] for _ in targets]
    async with opened(1) as (channel,):
        for _ in range(number):
            for target, seconds in zip(targets, waits, strict=True):
                seconds.append(await _seconds(channel, target))
    return waits


async def _seconds(channel: Connection, target: Target) -> float:
    started = time.perf_counter()
    status, _ = await channel.send(target)
    waited = time.perf_counter() - started
    if status != 404:
        raise RuntimeError(f"the door answered {status}")
    return waited
