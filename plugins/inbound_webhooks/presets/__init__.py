"""The settings of each kind of sender, one module for each."""

from __future__ import annotations

from importlib import import_module

from inbound_webhooks.presets.preset import Preset, Secret

__all__ = ["PRESETS", "Preset", "Secret"]

# Each sender is named here and nowhere else.
_MODULES = (
    "airbyte",
    "aws_eventbridge",
    "aws_sns",
    "azure_event_grid",
    "bitbucket",
    "cloudevents",
    "dbt_cloud",
    "discord",
    "discord_interactions",
    "dropbox",
    "fivetran",
    "generic_api_key",
    "generic_hmac",
    "github",
    "gitlab",
    "gitlab_signed",
    "google_pubsub",
    "hubspot",
    "jira",
    "linear",
    "mailgun",
    "meta",
    "microsoft_graph",
    "okta",
    "pagerduty",
    "sendgrid",
    "sharepoint",
    "shopify",
    "slack",
    "slack_command",
    "standard_webhooks",
    "stripe",
    "svix",
    "twilio",
    "twitter",
    "typeform",
    "zoom",
)


def _preset(module: str) -> Preset:
    preset: Preset = import_module(f"{__name__}.{module}").PRESET
    return preset


PRESETS: dict[str, Preset] = {preset.name: preset for preset in map(_preset, _MODULES)}
"""Name on the command line -> preset."""
