"""Webhooks of every target and mode, and the events that a stream has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.stream import Target

SPLIT, RUN, ASSET = "split", "run", "asset event"
BATCH, LATEST, QUEUE, SKIP, CANCEL_RUNNING = "batch", "latest", "queue", "skip", "cancel-running"

BATCH_SIZE = 7
RUN_AFTER_SECONDS = 600
ITEMS = 3
EVENTS_OF_A_KEY = 18
LEAST_KEYS = 3
CANCELS = 6
"""Each so-manieth event of a key cancels what its key runs."""


@dataclass(frozen=True)
class Mode:
    """What becomes of a webhook's events; ``children`` are the names of the webhooks of those of a split one.

    ``is_held``: the webhook is on hold for a part of the stream.
    """

    target: str = RUN
    grouping: str | None = None
    children: tuple[str, ...] = ()
    is_held: bool = False
    run_after_seconds: int = 0


MODES: Mapping[str, Mode] = {
    "plain": Mode(),
    "asset": Mode(ASSET),
    "routes": Mode(SPLIT, children=("route to a run", "route to an asset")),
    "each": Mode(SPLIT, children=("each",) * ITEMS),
    "batch": Mode(grouping=BATCH),
    "latest": Mode(grouping=LATEST),
    "queue": Mode(grouping=QUEUE),
    "skip": Mode(grouping=SKIP),
    "cancel-running": Mode(grouping=CANCEL_RUNNING),
    "held": Mode(is_held=True),
    "run-after": Mode(run_after_seconds=RUN_AFTER_SECONDS),
}
"""The webhooks that senders call, by name."""

ROUTES: Mapping[str, Mode] = {"route to a run": Mode(), "route to an asset": Mode(ASSET)}

_KEY = "${Webhook::Body.key}"
_DATA = {"number": "${Webhook::Body.number}", "delivery": "${Webhook::Delivery.id}"}
_ITEM_DATA = {"number": "${Webhook::Item.number}", "delivery": "${Webhook::Delivery.id}"}
_ASSET = {"dag_id": "", "asset": "s3://shop/orders"}
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "asset": _ASSET,
    "routes": {"dag_id": "", "routes": "all", "mapping": {}},
    "each": {
        "each": "body.events",
        "mapping": _ITEM_DATA,
        "dedup": "{{ item.number ~ '-' ~ item.place }}",
    },
    "batch": {"batch_by": _KEY, "batch_size": BATCH_SIZE, "batch_seconds": 3},
    "latest": {"latest_by": _KEY, "quiet_seconds": 2, "at_most_seconds": 6},
    "queue": {"one_at_a_time": _KEY},
    "skip": {"one_at_a_time": _KEY, "when_busy": "skip"},
    "cancel-running": {
        "one_at_a_time": _KEY,
        "when_busy": "cancel-running",
        "cancel_on": "body.cancels",
    },
    "run-after": {"run_after": str(RUN_AFTER_SECONDS)},
}


def store_modes() -> tuple[dict[str, str], list[Target]]:
    """Store the DAG, the asset and all webhooks; returns their ids by name, and where senders call them."""
    from tests.infrastructure.assets_builder import store_subscriber
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import store_webhook

    store_dag("orders")
    store_subscriber("subscriber")
    known = {"mapping": _DATA, "dedup": "${Webhook::Body.number}"}
    hooks = {name: store_webhook(name, **known | _FIELDS.get(name, {})) for name in MODES}
    source = hooks["routes"].id
    routes = {
        name: store_webhook(name, source=source, mapping=_DATA, **(_ASSET if mode.target == ASSET else {}))
        for name, mode in ROUTES.items()
    }
    ids = {name: hook.id for name, hook in (hooks | routes).items()}
    return ids, [Target(f"/{hooks[name].id}/{hooks[name].token}", True) for name in MODES]


@dataclass(frozen=True)
class Events:
    """The events of a stream of so many numbers, of as many keys that each of them has few."""

    count: int

    def of(self, number: int) -> dict[str, object]:
        """The JSON of a number."""
        keys = max(LEAST_KEYS, self.count // len(MODES) // EVENTS_OF_A_KEY)
        place = number // len(MODES)
        return {
            "number": number,
            "key": f"key {place % keys}",
            "cancels": place // keys % CANCELS == CANCELS - 1,
            "events": [{"number": number, "place": item} for item in range(ITEMS)],
        }


def name_of(number: int) -> str:
    """The webhook that a number is sent to."""
    names: Sequence[str] = list(MODES)
    return names[number % len(names)]
