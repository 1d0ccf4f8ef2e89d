"""The sample request of a webhook, the commands that send it, and its signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from secrets import token_hex
from typing import Any

from inbound_webhooks.airflow_bridge.dag_cache import DagCache, startable
from inbound_webhooks.errors import SampleNotSigned
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.sampling.builder import build_sample
from inbound_webhooks.event.sampling.evaluation import SignedSample
from inbound_webhooks.event.sampling.events import SampleRequest
from inbound_webhooks.event.sampling.shell import curl_of
from inbound_webhooks.event.sampling.signing import recipe_of
from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.database import autocommit

URL_PLACE = "URL-OF-THE-WEBHOOK"
"""Stands for the URL in commands for readers who may not see it, and before the webhook is stored."""


def sample_of(webhook: Webhook, dags: DagCache, *, offers_names: bool = False) -> SampleRequest:
    """A request that a webhook accepts; blocks while it reads the DAG's params.

    :param offers_names: see :func:`inbound_webhooks.event.sampling.builder.build_sample`
    :raises TooBusy: a slow check of a param has to wait for too many others
    """
    dag = startable(dags.get(webhook.dag_id, autocommit), webhook)
    return sample_for(webhook, {} if dag is None else dag.params, offers_names=offers_names)


def sample_for(
    webhook: Webhook, params: Mapping[str, Parameter], *, offers_names: bool = False
) -> SampleRequest:
    """A request that a webhook with these params accepts."""
    preset = PRESETS.get(webhook.preset or "")
    return build_sample(
        webhook,
        params,
        None if preset is None else preset.sample,
        fresh=f"sample-{token_hex(6)}",
        offers_names=offers_names,
    )


def curl(webhook: Webhook, request: SampleRequest, url: str = "") -> str:
    """The commands for a shell that send a request as the webhook's sender would.

    Secrets are variables of the shell, never part of it.
    """
    schemes = [read_scheme(settings) for settings in webhook.verification]
    try:
        return curl_of(recipe_of(request, url or URL_PLACE, schemes))
    except SampleNotSigned as error:
        return f"# {error.message}\n" + curl_of(recipe_of(request, url or URL_PLACE, ()))


def signed(
    webhook: Webhook, request: SampleRequest, *, url: str, secrets: Mapping[str, str], now: datetime
) -> SignedSample:
    """A request with the signature that the webhook's sender would add.

    :param secrets: purpose -> the secret in plain text
    :raises SampleNotSigned: a secret is missing, or only the sender has the key
    """
    schemes = [read_scheme(settings) for settings in webhook.verification]
    return SignedSample(recipe_of(request, url, schemes), secrets, now)


def as_data(request: SampleRequest) -> dict[str, Any]:
    """A sample as JSON: method, query, headers (pairs) and body."""
    return {
        "method": request.method,
        "query": request.query_string,
        "headers": [list(pair) for pair in request.headers],
        "body": request.body,
    }
