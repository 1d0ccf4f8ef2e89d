"""The event that a sender sends: 1 KB of JSON, of which three values become the conf of the run."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from benchmarks.client import VARYING

DAG_ID = "bench_order"
BODY_BYTES = 1024

PUSH = Path(__file__).parent.parent / "tests/payloads/github/push__new_branch.body"
PUSH_BYTES = 10 * 1024
PUSH_SECRET = "It's a Secret to Everybody"
PUSH_FILTER = 'headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/master"'
PUSH_MAPPING = {
    "order_id": "${Webhook::Body.repository.id}",
    "customer": "${Webhook::Body.repository.full_name}",
    "lines": "${Webhook::Body.commits}",
}

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


def push() -> bytes:
    """GitHub's push event, filled up to 10 KB as a push of more commits would be."""
    bare = PUSH.read_text()
    event = json.loads(bare)
    event["head_commit"] = {"message": ""}
    missing = PUSH_BYTES - len(json.dumps(event))
    event["head_commit"]["message"] = "x" * missing
    return json.dumps(event).encode()


def push_headers() -> dict[str, str]:
    """GitHub's own, signed; the delivery's id is another one in each request."""
    return github_headers(push())


def github_headers(body: bytes) -> dict[str, str]:
    """The headers of GitHub's push event with this body."""
    signature = hmac.new(PUSH_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-GitHub-Delivery": VARYING.decode(),
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={signature}",
    }


def trigger() -> bytes:
    """The body of Airflow's own trigger endpoint for the same conf, and nothing that costs more."""
    return json.dumps({"logical_date": None, "conf": conf()}).encode()
