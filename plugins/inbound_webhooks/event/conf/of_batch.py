"""The conf of a batch: a list of the confs of its events, and what a DAG's params say about one of them.

A DAG for batches has a param ``events`` of type array. What ``items`` of its schema says about the properties
of an object holds for the conf of each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inbound_webhooks.event import json_text
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.grouping import EVENTS

LEAST_CHARS_OF_A_VALUE = 2
"""A value and the comma or colon before it."""


def batch_conf(confs: Iterable[str]) -> str:
    """The conf of a batch as JSON text, of the confs of its events as JSON texts."""
    return f'{{"{EVENTS}":[{",".join(confs)}]}}'


def of_one_event(params: Mapping[str, Parameter] | None) -> Mapping[str, Parameter] | None:
    """The parameters of one event of a batch; empty where the DAG says nothing about them."""
    if params is None:
        return None
    events = params.get(EVENTS)
    return {} if events is None else events.of_items


def count_conf_values(conf: str, limit: int) -> int:
    """The values in a conf, those inside of lists and objects included, up to one more than ``limit``."""
    return json_text.count_values(json_text.parse(conf), limit + 1)
