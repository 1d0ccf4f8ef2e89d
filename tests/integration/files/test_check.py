"""`airflow webhooks check`: definition files beside DAG files, without a database, and what is stored."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_webhook

ROOT = Path(__file__).parents[3]
DAG = """
from airflow.sdk import DAG, Param
with DAG("shop", schedule=None, params={
    "number": Param(type="integer"), "note": Param("a", enum=["a", "b"])
}):
    pass
"""
FITS = {"name": "orders", "dag_id": "shop", "mapping": {"number": "${Webhook::Body.number}"}}


@pytest.fixture
def repository(tmp_path):
    """A folder with a DAG file; write(webhook, …) puts definitions beside it."""
    (tmp_path / "shop.py").write_text(DAG)

    def write(*webhooks: dict) -> str:
        (tmp_path / "hooks.yaml").write_text(yaml.safe_dump({"webhooks": list(webhooks)}, sort_keys=False))
        return str(tmp_path)

    return write


def test_a_mapping_that_fits_its_dag_is_fine(webhooks, repository):
    done = webhooks("check", repository(FITS))
    assert (done.status, done.out) == (0, "Checked 1 webhook against 1 DAG: no errors.\n")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mapping": {"note": "b"}}, "mapping: The mapping violates the DAG's params: number has no default"),
        ({"mapping": {"number": "twelve"}}, "mapping: The mapping violates the DAG's params: number"),
        ({"mapping": {"number": "1", "note": "c"}}, "mapping: The mapping violates the DAG's params: note"),
        ({"dag_id": "gone"}, "hooks.yaml:3: orders: dag_id: no DAG file defines the DAG 'gone'"),
        ({"preset": "nobody"}, "orders: preset: 'nobody' is not one of"),
        ({"filter": "body.("}, "hooks.yaml:6: orders: filter: line 1"),
        (
            {"preset": "github", "secrets": {"signing": "plain:secret"}},
            "the file contains the secret itself",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_ends_with_1_and_its_place(webhooks, repository, fields, message):
    done = webhooks("check", repository(FITS | fields))
    assert done.status == 1
    assert done.out.startswith("error  ")
    assert message in done.out
    assert done.out.splitlines()[-1].endswith(": 1 error.")


def test_a_parameter_that_the_dag_does_not_have_is_a_note(webhooks, repository):
    done = webhooks("check", repository(FITS | {"mapping": {"number": "1", "misspelt": "2"}}))
    assert done.status == 0
    assert "note   " in done.out
    assert "'misspelt'" in done.out


def test_a_path_without_braces_is_a_note(webhooks, repository):
    fields = {"mapping": {"number": "${Webhook::Body.number}", "note": "a"}, "dedup": "body.id"}
    done = webhooks("check", repository(FITS | fields))
    assert done.status == 0
    assert "note   " in done.out
    assert "orders: dedup: The value of deduplication key is the text 'body.id'" in done.out


def test_a_secret_that_the_file_does_not_name_is_a_note(webhooks, repository):
    done = webhooks("check", repository(FITS | {"preset": "stripe"}))
    assert done.status == 0
    assert "note   " in done.out
    assert "orders: secrets.signing: The signing secret is missing. Enter " in done.out


def test_a_dag_file_that_does_not_import_is_wrong(webhooks, repository, tmp_path):
    (tmp_path / "broken.py").write_text("from airflow.sdk import DAG\nboom\n")
    done = webhooks("check", repository(FITS))
    assert done.status == 1
    assert "broken.py: NameError: name 'boom' is not defined" in done.out


def test_dags_may_be_elsewhere_and_without_them_it_says_what_was_not_checked(webhooks, repository, tmp_path):
    folder = repository(FITS | {"mapping": {}})
    file = f"{folder}/hooks.yaml"
    alone = webhooks("check", file)
    assert (alone.status, "--dags-folder" in alone.err) == (0, True)
    assert webhooks("check", file, "--dags-folder", folder).status == 1


def test_a_secret_is_not_looked_up(webhooks, repository):
    fields = {"preset": "github", "secrets": {"signing": "env:NOT_SET_IN_CI"}}
    assert webhooks("check", repository(FITS | fields)).status == 0


def test_json_has_each_finding(webhooks, repository):
    (finding,) = webhooks("check", repository(FITS | {"dag_id": "gone"}), "-o", "json").json
    assert {name: finding[name] for name in ("severity", "line", "webhook", "field")} == {
        "severity": "error",
        "line": 3,
        "webhook": "orders",
        "field": "dag_id",
    }


def test_it_needs_no_database(tmp_path, repository):
    """As in CI: a bare AIRFLOW_HOME, and a database that nobody answers at."""
    nowhere = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://alice:a_password@127.0.0.1:1/none"
    }
    environment = os.environ | nowhere | {"AIRFLOW_HOME": str(tmp_path / "home")}
    call = [sys.executable, "-m", "airflow", "webhooks", "check", str(ROOT / "dags")]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120)
    said = re.fullmatch(r"Checked 2 webhooks against \d+ DAGs: no errors\.\n", done.stdout)
    assert (done.returncode, bool(said)) == (0, True), done


# --- what is stored -------------------------------------------------------------------------


def test_stored_webhooks_whose_dag_has_changed_are_wrong(webhooks, database):
    from airflow.sdk import Param

    store_dag("orders")
    store_webhook(mapping={"number": "twelve"})
    assert webhooks("check").status == 0
    store_dag("orders", params={"number": Param(type="integer")})
    done = webhooks("check")
    assert done.status == 1
    assert "error  orders of the shop: The mapping violates the DAG's params: number" in done.out


def test_a_disabled_webhook_is_no_problem(webhooks, sqlite_database):
    store_dag("orders")
    store_webhook(enabled=False)
    done = webhooks("check")
    assert (done.status, "note   orders of the shop: It is disabled" in done.out) == (0, True)


def test_a_folder_of_dags_alone_is_a_wrong_call(webhooks, sqlite_database):
    assert webhooks("check", "--dags-folder", ".").status == 2
