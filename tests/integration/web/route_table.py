"""Every route of ours, and what people without the right to it are answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Statuses for a stranger, a user without a role, a viewer, and an editor of another DAG."""

    stranger: int
    without_role: int
    viewer: int
    other: int


PUBLIC = Row(200, 200, 200, 200)
UNKNOWN = Row(404, 404, 404, 404)
READERS = Row(401, 403, 200, 200)
READERS_OF_THE_WEBHOOK = Row(401, 403, 200, 404)
READERS_OF_THE_DAG = Row(401, 403, 200, 403)
REPLAYERS = Row(401, 403, 404, 404)
EDITORS = Row(401, 403, 403, 200)
EDITORS_OF_THE_WEBHOOK = Row(401, 403, 403, 404)
EDITORS_OF_THE_DAG = Row(401, 403, 403, 422)

HOOK = "/webhooks/hook/<webhook_id>"
DELIVERY = "/webhooks/delivery/<delivery_id>"
REPLAY = "/webhooks/replays/<job_id>"

# A browser that loads the address of an action again gets the page of its form, if its user may see that.
RELOADED = Row(401, 403, 303, 303)

PAGES: dict[tuple[str, str], Row] = {
    ("GET", "/webhooks/"): READERS,
    ("GET", "/webhooks/rows"): READERS,
    ("GET", "/webhooks/dags.json"): READERS,
    ("GET", "/webhooks/params.json"): READERS,
    ("GET", "/webhooks/meant.json"): READERS,
    ("GET", "/webhooks/users.json"): READERS,
    ("GET", "/webhooks/senders/<name>.json"): READERS,
    ("GET", "/webhooks/help"): READERS,
    ("GET", "/webhooks/help/<page>"): READERS,
    ("GET", "/webhooks/dag/<dag_id>"): READERS_OF_THE_DAG,
    ("GET", "/webhooks/run/<dag_id>/<path:run_id>"): READERS_OF_THE_DAG,
    ("GET", "/webhooks/task"): READERS_OF_THE_DAG,
    ("POST", "/webhooks/wait/<wait_id>/resume"): EDITORS_OF_THE_WEBHOOK,
    ("GET", HOOK): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/deliveries"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/deliveries/rows"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/rejections/rows"): READERS_OF_THE_WEBHOOK,
    ("GET", "/webhooks/deliveries"): READERS,
    ("GET", "/webhooks/deliveries/rows"): READERS,
    ("GET", "/webhooks/rejections"): READERS,
    ("GET", "/webhooks/rejections/rows"): READERS,
    ("GET", "/webhooks/replays"): READERS,
    ("GET", "/webhooks/replays/rows"): READERS,
    ("GET", "/webhooks/replays/new"): EDITORS,
    ("POST", "/webhooks/replays"): Row(401, 403, 403, 409),
    ("GET", REPLAY): REPLAYERS,
    ("GET", f"{REPLAY}/progress"): REPLAYERS,
    ("POST", f"{REPLAY}/cancel"): EDITORS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/fields.json"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/recent.json"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/activity"): READERS_OF_THE_WEBHOOK,
    ("GET", "/webhooks/activity"): READERS_OF_THE_DAG,
    ("GET", f"{HOOK}/export"): EDITORS_OF_THE_WEBHOOK,
    ("GET", "/webhooks/export"): EDITORS,
    ("GET", DELIVERY): READERS_OF_THE_WEBHOOK,
    ("GET", f"{DELIVERY}.json"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{DELIVERY}/live"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{DELIVERY}/body"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{DELIVERY}/curl.json"): READERS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/url.json"): EDITORS_OF_THE_WEBHOOK,
    ("GET", "/webhooks/new"): EDITORS,
    ("POST", "/webhooks/new"): EDITORS_OF_THE_DAG,
    ("POST", "/webhooks/try"): EDITORS_OF_THE_DAG,
    ("POST", "/webhooks/sample"): EDITORS,
    ("POST", "/webhooks/sample/tree"): EDITORS,
    ("POST", "/webhooks/bulk"): EDITORS_OF_THE_WEBHOOK,
    ("POST", "/webhooks/dag/<dag_id>/unpause"): Row(401, 403, 403, 403),
    ("POST", HOOK): EDITORS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/setup"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/secret"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/end-grace"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/enabled"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/hold"): EDITORS_OF_THE_WEBHOOK,
    # Of another DAG's editor it changes nothing.
    ("POST", "/webhooks/holds"): Row(401, 403, 403, 303),
    ("POST", f"{HOOK}/rotate"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/delete"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/try"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/backtest"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/sample"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/sample/tree"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/send"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{HOOK}/listen"): EDITORS_OF_THE_WEBHOOK,
    ("GET", f"{HOOK}/listener"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{DELIVERY}/replay"): EDITORS_OF_THE_WEBHOOK,
    ("POST", f"{DELIVERY}/retry"): EDITORS_OF_THE_WEBHOOK,
    # Style sheets and scripts.
    ("GET", "/webhooks/static/<path:filename>"): PUBLIC,
    # The endpoint: Flask alone admits no request, only what comes through the guard with its token.
    ("GET", "/webhook/<webhook_id>/<token>"): UNKNOWN,
    ("POST", "/webhook/<webhook_id>/<token>"): UNKNOWN,
}
"""In the Flask application below /pluginsv2; each takes HEAD and OPTIONS as well."""

ACTIONS = {
    path for method, path in PAGES if method == "POST" and ("GET", path) not in PAGES and "token" not in path
}
"""Paths that take forms only."""
PAGES |= {("GET", path): RELOADED for path in ACTIONS}
