"""``airflow webhooks sample``: a request that a webhook accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inbound_webhooks.cli.console import handler, print_data, print_text

if TYPE_CHECKING:
    from argparse import Namespace


@handler
def sample_command(args: Namespace) -> None:
    """Print the request, or the commands that send it."""
    from inbound_webhooks.airflow_bridge.dag_cache import DagCache
    from inbound_webhooks.deliveries import samples
    from inbound_webhooks.webhooks import service

    webhook = service.get(args.name)
    sample = samples.sample_of(webhook, DagCache(recheck_seconds=0))
    if args.curl:
        print_text(samples.curl(webhook, sample, service.url(webhook)))
    else:
        print_data(samples.as_data(sample), args.output)
