"""Three DAGs that run when there are new orders: one webhook of the asset `shop_orders` starts all of them.

airflow webhooks create shop-orders --asset shop_orders --map 'order=${Webhook::Body.id}'
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import DAG, Asset, get_current_context, task

ORDERS = Asset("shop_orders")

STEPS = {
    "pack_orders": "Packs what was ordered",
    "book_orders": "Writes invoices",
    "count_orders": "Keeps the figures of the day",
}
"""DAG -> what it does. One run may take several orders: Airflow decides how many events a run gets."""

for dag_id, description in STEPS.items():
    with DAG(dag_id=dag_id, description=description, schedule=[ORDERS], catchup=False, tags=["webhook"]):

        @task
        def work() -> list[Any]:
            """Print the orders of all events that this run took."""
            events = get_current_context()["triggering_asset_events"][ORDERS]
            orders = [event.extra["order"] for event in events]
            print("orders:", json.dumps(orders))
            return orders

        work()
