"""The request that the pages offer: a shell really sends it, and the webhook accepts it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.sender_keys import SECRET, sender_keys
from tests.infrastructure.webhooks_builder import Hook, rows, store_webhook

SHELL_SECONDS = 30
PUBLIC_URL = "http://hooks.example.com"
"""Some senders sign the URL that they call; curl connects to the gateway for it."""


@pytest.fixture
def gateway(tmp_path: Path, sqlite_database) -> Iterator[GatewayProcess]:
    started = GatewayProcess(tmp_path, sqlite_database.url, public_url=PUBLIC_URL)
    yield started.wait()
    started.stop()


@dataclass(frozen=True)
class Offered:
    """A webhook, and what its user exports in a shell before its commands run."""

    hook: Hook
    variables: dict[str, str] = field(default_factory=dict)

    def send(self, gateway: GatewayProcess) -> str:
        """The state of the delivery that the commands lead to, or what went wrong."""
        from inbound_webhooks.airflow_bridge.dag_cache import DagCache
        from inbound_webhooks.deliveries.samples import curl, sample_of
        from inbound_webhooks.webhooks import service

        webhook = service.get(self.hook.id)
        sample = sample_of(webhook, DagCache(recheck_seconds=0))
        commands = curl(webhook, sample, f"{PUBLIC_URL}/webhook/{self.hook.id}/{self.hook.token}")
        assert SECRET not in commands
        options = f"-s -w ' %{{http_code}}' --connect-to hooks.example.com:80:127.0.0.1:{gateway.port}"
        done = subprocess.run(
            ["sh", "-c", f'curl() {{ command curl {options} "$@"; }}\n{commands}'],
            env={"PATH": os.environ["PATH"], **self.variables},
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        states = [row.state for row in rows("delivery") if row.webhook_id == self.hook.id]
        is_2xx = done.stdout.rpartition(" ")[2].startswith("2")
        return states[-1] if states and is_2xx else f"{done.stdout} {done.stderr}\n{commands}"


def offered_for(preset_name: str, folder: Path) -> Offered:
    preset = PRESETS[preset_name]
    keys = sender_keys(preset, folder)
    hook = store_webhook(
        preset_name,
        dag_id="anything",
        preset=preset_name,
        secrets=keys.secrets,
        mapping=dict(preset.mapping_example),
        filter=preset.filter_example,
    )
    return Offered(hook, keys.variables)


def test_a_shell_that_knows_the_secret_sends_what_every_preset_accepts(gateway, tmp_path) -> None:
    store_dag("anything")
    sent = {name: offered_for(name, tmp_path).send(gateway) for name in PRESETS}
    assert {name: state for name, state in sent.items() if state != "accepted"} == {}


def test_a_shell_sends_what_every_example_dag_accepts(gateway) -> None:
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(str(CHECKOUT / "dags")).dags
    files = {path.name for path in (CHECKOUT / "dags").glob("*.py")}
    assert {Path(dag.fileloc).name for dag in found.values()} == files
    for dag_id, dag in found.items():
        store_dag(dag_id, params={name: dag.params.get_param(name) for name in dag.params})
    written = yaml.safe_load((CHECKOUT / "dags" / "webhooks.yaml").read_text())["webhooks"]
    offered = [
        Offered(
            store_webhook(
                **{key: value for key, value in one.items() if key != "secrets"}, secrets=_secrets(one)
            ),
            {"WEBHOOK_SECRET": SECRET},
        )
        for one in written
    ]
    offered += [
        Offered(store_webhook(dag_id, dag_id=dag_id, mapping=_each_by_name(dag)))
        for dag_id, dag in found.items()
    ]
    assert [one.send(gateway) for one in offered] == ["accepted"] * len(offered)


def _secrets(written: dict) -> dict[str, str]:
    return dict.fromkeys(written.get("secrets", {}), SECRET)


def _each_by_name(dag) -> dict[str, str]:
    return {name: f"${{Webhook::Body.{name}}}" for name in dag.params}
