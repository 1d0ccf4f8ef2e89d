"""Exports stored webhooks as a definition file whose import changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from inbound_webhooks.files.plan import held_secrets
from inbound_webhooks.files.references import PLAIN
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.webhook import Draft, Webhook, json_fields
from inbound_webhooks.storage.credentials import list_credentials, secret_references
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.webhooks import webhooks_by_id
from inbound_webhooks.webhooks import service


def exported(webhooks: Sequence[Webhook], *, with_secrets: bool = False) -> list[dict[str, Any]]:
    """The entries of some webhooks, without values that equal those of the preset or the default.

    Secrets appear as references if an import has stored one, or with ``with_secrets`` in plain text.

    :raises TokenUnreadable: ``with_secrets``, and a secret cannot be decrypted
    """
    secrets_of = _secrets if with_secrets else _references
    named = with_named_sources(webhooks)
    return [entry_of(webhook, secrets_of(webhook)) for webhook in named]


def with_named_sources(webhooks: Sequence[Webhook]) -> list[Webhook]:
    """The webhooks with the names of their sources instead of ids, which differ between installations."""
    ids = {webhook.source for webhook in webhooks if webhook.source is not None}
    if not ids:
        return list(webhooks)
    with transaction() as connection:
        names = {key: source.name for key, source in webhooks_by_id(connection, ids).items()}
    return [replace(one, source=names.get(one.source or "", one.source)) for one in webhooks]


def entry_of(webhook: Draft, secrets: dict[str, str]) -> dict[str, Any]:
    """The entry of one webhook; ``secrets`` are purpose -> reference."""
    filled = json_fields(
        service.drafted(
            preset=webhook.preset,
            purposes=set(secrets),
            name=webhook.name,
            dag_id=webhook.dag_id,
            source=webhook.source,
        )
    )
    leading = ("name", "dag_id", "asset", "source", "preset")
    fields = {
        name: value
        for name, value in json_fields(webhook).items()
        if (name in leading and value is not None) or value != filled[name]
    }
    first = {name: fields.pop(name) for name in leading if name in fields}
    return first | ({"secrets": secrets} if secrets else {}) | fields


def file_text(entries: Sequence[dict[str, Any]]) -> str:
    """The file's text; multi-line templates become block scalars."""
    return yaml.dump(
        {"webhooks": list(entries)}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
    )


def _secrets(webhook: Webhook) -> dict[str, str]:
    """Purpose -> the newest valid secret; fetched keys excluded."""
    now = utc_now()
    with transaction() as connection:
        held = list_credentials(connection, webhook.id)
    given = [secret for secret in held if secret.purpose and secret.source_url is None]
    valid = [secret for secret in reversed(given) if secret.is_valid(now)]
    return {secret.purpose: f"{PLAIN}{decrypt(secret.encrypted)}" for secret in valid}


def _references(webhook: Webhook) -> dict[str, str]:
    """Purpose -> the reference that an import stored with the secret."""
    with transaction() as connection:
        held = held_secrets(list_credentials(connection, webhook.id))
        known = secret_references(connection, webhook.id)
    return {purpose: known[secret.id] for purpose, secret in held.items() if secret.id in known}


class _Dumper(yaml.SafeDumper):
    """Writes multi-line texts as block scalars, and repeated values without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
