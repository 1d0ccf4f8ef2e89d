"""A process of A: ``python -m benchmarks.attacker``, at the lowest priority.

It reads a line of JSON, ``{"attacks": […], "stage": {…}}``, prepares these attacks, and writes
``{"refused": {name: message}}`` with those that the product does not save. Then it attacks until its input
ends, and writes ``{"statuses": {status: number}}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.attacks import ATTACKS
from benchmarks.attacks.stage import Attack, Refused, Stage

THREADS = 64

GRACE_SECONDS = 3.0
"""How long attacks have to end by themselves."""


async def main() -> None:
    """Read, prepare, attack, report."""
    loop = asyncio.get_running_loop()
    # By default as few as six: calls of the API that hang would keep the other attacks from beginning.
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    order = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    stage = Stage(**order["stage"])
    ready, refused = await _prepared(order["attacks"], stage)
    _say({"refused": refused})
    loop.add_reader(sys.stdin, stage.over.set)
    loop.call_later(stage.seconds, stage.over.set)
    attacks = asyncio.gather(*(attack.run(stage) for attack in ready), return_exceptions=True)
    await stage.over.wait()
    loop.remove_reader(sys.stdin)
    done, _ = await asyncio.wait({attacks}, timeout=GRACE_SECONDS)
    errors = [repr(it) for it in attacks.result() if isinstance(it, Exception)] if done else ["still at work"]
    _say({"statuses": stage.statuses, "errors": errors})
    # Threads may still wait for responses of the API, and the loop would wait for them.
    os._exit(0)


async def _prepared(names: list[str], stage: Stage) -> tuple[list[Attack], dict[str, str]]:
    ready: list[Attack] = []
    refused: dict[str, str] = {}
    for name in names:
        attack = ATTACKS[name]()
        try:
            await attack.prepare(stage)
        except Refused as error:
            refused[name] = str(error)
        else:
            ready.append(attack)
    return ready, refused


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    os.nice(19)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
