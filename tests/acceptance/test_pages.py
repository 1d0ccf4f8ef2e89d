"""Airflow's own pages with us inside, as a person in a browser meets them: by cookie."""

from __future__ import annotations

import re

import pytest
import requests

from tests.infrastructure.airflow_processes import ADMIN, PASSWORD

pytestmark = pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)


@pytest.fixture(scope="module")
def session(airflow):
    """A user who has logged in on the login page."""
    with requests.Session() as opened:
        page = opened.get(f"{airflow.url}/auth/login/", timeout=60)
        csrf_token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        assert csrf_token, page.text
        form = {"username": ADMIN, "password": PASSWORD, "csrf_token": csrf_token[1]}
        opened.post(f"{airflow.url}/auth/login/", data=form, timeout=60)
        yield opened


def test_the_user_interface_opens(airflow, session):
    response = session.get(f"{airflow.url}/", timeout=60)
    assert response.status_code == 200
    assert '<div id="root"' in response.text


def test_the_api_lists_the_dags(airflow, session):
    response = session.get(f"{airflow.url}/api/v2/dags", timeout=60)
    assert response.status_code == 200
    assert {"event_log", "order_pipeline"} <= {dag["dag_id"] for dag in response.json()["dags"]}


def test_the_api_still_asks_strangers_to_log_in(airflow):
    assert requests.get(f"{airflow.url}/api/v2/dags", timeout=60).status_code == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT"])
def test_the_receiver_sets_no_cookie(airflow, session, webhooks, method):
    for sender in (requests, session):
        response = sender.request(method, webhooks["events"].url, data=b"{}", timeout=60)
        assert "Set-Cookie" not in response.headers


def test_a_call_of_a_webhook_logs_no_user_out(airflow, session, webhooks):
    session.post(webhooks["events"].url, data=b"{}", timeout=60)
    assert session.get(f"{airflow.url}/api/v2/dags", timeout=60).status_code == 200
    assert (
        session.get(f"{airflow.url}/auth/users/list/", timeout=60, allow_redirects=False).status_code == 200
    )
