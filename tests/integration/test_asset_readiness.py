"""What the readiness of a webhook says about its asset, on both databases."""

from __future__ import annotations

import pytest

from tests.infrastructure.assets_builder import NAME, URI, forget_assets, store_subscriber
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.webhooks_builder import store_webhook


def found(asset: str = URI) -> list[tuple[str, str, str]]:
    """Code, severity and sentence of what concerns the asset."""
    from inbound_webhooks.webhooks import readiness, service

    hook = store_webhook(f"for {asset}", dag_id="", asset=asset)
    reasons = readiness.reasons_of(service.get(hook.id))
    return [(each.code, each.severity, each.message) for each in reasons if each.code != "no-dispatcher"]


@pytest.fixture
def two_dags(database):
    store_subscriber("one")
    store_subscriber("two")


@pytest.mark.parametrize("asset", [URI, NAME])
def test_an_asset_on_which_dags_are_scheduled_is_ready(two_dags, asset):
    assert found(asset) == []


def test_an_unknown_asset_is_waited_for(two_dags):
    sentence = "No DAG file names the asset s3://unknown. Deliveries wait until one does."
    assert found("s3://unknown") == [("asset-missing", "stops", sentence)]


def test_an_inactive_asset_is_waited_for(two_dags):
    forget_assets()
    assert [code for code, _, _ in found()] == ["asset-missing"]


def test_an_asset_without_dags_starts_nothing(database):
    from airflow.sdk import Asset

    store_dag("producer", outlets=[Asset(name=NAME, uri=URI)])
    sentence = f"No DAG is scheduled on the asset {URI}: its events start nothing."
    assert found() == [("asset-without-dags", "stops", sentence)]


def test_paused_dags_are_counted_and_not_named(two_dags):
    change_dag("two", is_paused=True)
    sentence = f"Paused DAGs get no events of the asset {URI}: 1 of 2 that are scheduled on it are paused."
    assert found() == [("asset-dags-paused", "delays", sentence)]


def test_a_dag_whose_file_is_gone_does_not_count(two_dags):
    change_dag("two", is_paused=True, is_stale=True)
    assert found() == []
