"""What Airflow's Helm chart gives to its containers, as data: environment, airflow.cfg, commands, user.

From the templates of chart 1.22.0 (https://github.com/apache/airflow/tree/helm-chart/1.22.0/chart) with its
default values, for a release named ``release``; ``{…}`` are the places that a cluster fills. The chart knows
neither gateway nor dispatcher: they are Deployments with the same environment (docker/README.md).
"""

from __future__ import annotations

CHART_VERSION = "1.22.0"

CONNECTION = "postgresql://{user}:{password}@{host}:{port}/{database}?sslmode=disable"
"""The key ``connection`` of the secret ``release-airflow-metadata``; its user and password are encoded."""

ENVIRONMENT = {
    "AIRFLOW__CORE__FERNET_KEY": "{fernet_key}",
    "AIRFLOW_HOME": "{airflow_home}",
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN": CONNECTION,
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": CONNECTION,
    "AIRFLOW_CONN_AIRFLOW_DB": CONNECTION,
    "AIRFLOW__API__SECRET_KEY": "{api_secret_key}",
    "AIRFLOW__API_AUTH__JWT_SECRET": "{jwt_secret}",
    "AIRFLOW__CELERY__BROKER_URL": "redis://:{redis_password}@release-redis:6379/0",
}

CONFIGURATION = """
[api]
base_url = {base_url}

[celery]
flower_url_prefix =
worker_concurrency = 16

[core]
auth_manager = airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
colored_console_log = False
dags_folder = {dags_folder}
execution_api_server_url = http://release-api-server:8080/execution/
executor = CeleryExecutor
load_examples = False
remote_logging = False

[fab]
enable_proxy_fix = True

[logging]
colored_console_log = False
remote_logging = False

[metrics]
statsd_host = release-statsd
statsd_on = False
statsd_port = 9125
statsd_prefix = airflow

[scheduler]
run_duration = 41460
standalone_dag_processor = True
statsd_host = release-statsd
statsd_on = False
statsd_port = 9125
statsd_prefix = airflow
"""
"""airflow.cfg of the ConfigMap ``release-config``."""

COMMANDS = {
    "run-airflow-migrations": "exec airflow db migrate",
    "wait-for-airflow-migrations": "exec airflow db check-migrations --migration-wait-timeout=60",
    "api-server": "exec airflow api-server",
}
"""Arguments of ``bash -c`` in the chart's containers."""

OUR_COMMANDS = {
    "gateway": "exec airflow webhooks gateway --host 0.0.0.0 --port {gateway_port}",
    "dispatcher": "exec airflow webhooks dispatcher",
}

USER_ID, GROUP_ID = 50_000, 0
"""``uid`` and ``gid`` of the chart's values."""
