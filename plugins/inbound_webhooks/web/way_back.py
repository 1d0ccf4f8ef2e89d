"""Where a page leads back to: after a change, from an error, and when a form's address is loaded again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, request, url_for


def after_change(*, leave: bool = False) -> str:
    """The page to show after a form's action.

    :param leave: the page that the form names is gone, unless it is a list
    """
    back = sent_from()
    if back and not (leave and "/hook/" in back):
        return back
    return _ours(request.form.get("home", "")) or url_for("WebhooksView.index")


def sent_from() -> str:
    """The page that a form names as its own; never one of another site, "" without one."""
    return _ours(request.form.get("back", "")) if request.method == "POST" else ""


def page_of_form() -> str:
    """The page whose form was sent: the one that it names, or the browser; "" where it is not one of ours."""
    return sent_from() or (_referring_page() if request.method == "POST" else "")


def previous_page() -> str:
    """The page that the user came from, as far as it is one of ours; else the list."""
    return sent_from() or _referring_page() or url_for("WebhooksView.index")


def _referring_page() -> str:
    split = urlsplit(request.referrer or "")
    is_elsewhere = split.netloc != request.host or split.path == request.script_root + request.path
    return "" if is_elsewhere else _ours(split.path + (f"?{split.query}" if split.query else ""))


def shown_page() -> str:
    """The address to open again after a login: that of Airflow's window, where the page is in its frame."""
    split = urlsplit(request.referrer or "")
    in_frame = split.netloc == request.host and not split.path.startswith(request.script_root)
    return split.geturl() if in_frame else request.url


def answer_reloads(view: Any, blueprint: Blueprint) -> None:
    """Let the address of each action, which a browser shows after an error, lead to the page of its form."""
    for name in dir(view):
        for rule, methods in getattr(getattr(view, name), "_urls", ()):
            if methods == ["POST"]:
                blueprint.add_url_rule(rule, f"{name}_reloaded", _page_of, methods=["GET"])


def _page_of(**arguments: str) -> Response:
    if "delivery_id" in arguments:
        page = url_for("DeliveriesView.one", delivery_id=arguments["delivery_id"])
    elif "webhook_id" in arguments:
        page = url_for("WebhooksView.edit", webhook_id=arguments["webhook_id"])
    elif "dag_id" in arguments:
        page = url_for("WebhooksView.dag", dag_id=arguments["dag_id"])
    else:
        page = url_for("WebhooksView.index")
    return make_response(redirect(page, 303))


def _ours(path: str) -> str:
    is_ours = path.startswith(url_for("WebhooksView.index")) and "\\" not in path and path.isprintable()
    return path if is_ours else ""
