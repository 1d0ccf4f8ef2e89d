"""The event that a sender sends: 1 KB of JSON, of which three values become the conf of the run."""

from __future__ import annotations

import json
from typing import Any

DAG_ID = "bench_order"
BODY_BYTES = 1024

MAPPING = {
    "order_id": "${Webhook::Body.order.id}",
    "customer": "${Webhook::Body.order.customer.name}",
    "lines": "${Webhook::Body.order.lines}",
}


def conf() -> dict[str, Any]:
    """The conf that the event becomes."""
    lines = [{"sku": f"SKU-{number:05}", "quantity": number, "price": 9.95} for number in range(1, 9)]
    return {"order_id": 4711, "customer": "Ada Lovelace", "lines": lines}


def event() -> bytes:
    """The sender's body, filled up to 1 KB by what no parameter asks for."""
    values = conf()
    order = {"id": values["order_id"], "customer": {"name": values["customer"]}, "lines": values["lines"]}
    bare = json.dumps({"order": order, "note": ""})
    return json.dumps({"order": order, "note": "x" * (BODY_BYTES - len(bare))}).encode()


def trigger() -> bytes:
    """The body of Airflow's own trigger endpoint for the same conf, and nothing that costs more."""
    return json.dumps({"logical_date": None, "conf": conf()}).encode()
