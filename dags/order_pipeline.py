"""Prices an order of a shop; the customer arrives as an object, the order lines as a list."""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    dag_id="order_pipeline",
    description="Prices an order and hands it on",
    schedule=None,
    catchup=False,
    params={
        "order_id": Param(type="integer", description="The order's number"),
        "currency": Param("EUR", type="string", minLength=3, maxLength=3, description="ISO 4217"),
        "customer": Param({}, type="object", description="The customer"),
        "lines": Param(
            type="array",
            minItems=1,
            description="What was ordered",
            items={"type": "object", "required": ["quantity", "price"]},
        ),
        "express": Param(False, type="boolean", description="Whether it ships today"),
    },
    tags=["webhook"],
):

    @task
    def price() -> dict[str, Any]:
        """Add up the order lines."""
        context = get_current_context()
        print("conf:", json.dumps(context["dag_run"].conf, sort_keys=True))
        params = context["params"]
        total = sum(int(line["quantity"]) * float(line["price"]) for line in params["lines"])
        return {"order_id": params["order_id"], "total": round(total, 2), "currency": params["currency"]}

    @task
    def ship(priced: dict[str, Any]) -> None:
        """Hand the order on."""
        print("order", priced["order_id"], "costs", priced["total"], priced["currency"])

    ship(price())
