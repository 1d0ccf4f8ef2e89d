"""A task that hands out a URL, and then waits without a worker slot until the URL is called."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.bases.decorator import (
    DecoratedOperator,
    TaskDecorator,
    determine_kwargs,
    task_decorator_factory,
)
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import mask_secret

from inbound_webhooks.errors import TemplateRefused
from inbound_webhooks.event.task_wait import (
    FAILURE_KEY,
    RESULT_KEY,
    TIMEOUT,
    XCOM_KEY,
    Registration,
    check_expressions,
)
from inbound_webhooks.event.wait_match import REFUSED_KEY, MatchRegistration, canonical
from inbound_webhooks.operators.errors import WaitFailed
from inbound_webhooks.operators.forms import DEFAULT_LOOK_BACK, check_form
from inbound_webhooks.settings import configured_public_url
from inbound_webhooks.urls import TOKEN_BYTES, wait_url

if TYPE_CHECKING:
    from airflow.sdk import Context

CALLBACK_URL = "callback_url"
"""The parameter of the function that gets the URL."""

DEFAULT_TIMEOUT = timedelta(days=7)
"""As Airflow's sensors."""

AIRFLOW_GRACE = timedelta(minutes=1)
"""Airflow ends the wait so much later than the dispatcher, which knows of calls that came in time, and why
others were refused."""

_NOT_YET = "set when the task runs"
_OF_DAG_TEST = "dag_test"
_FAIL_METHOD = "__fail__"
_TRIGGER_TIMEOUT = "Trigger timeout"


class WaitForWebhook(BaseOperator):
    """Waits until an external system sends a POST: to a one-time URL, or to a webhook of its own.

    With ``start``, calls that function with a one-time URL, and waits for the call. With ``webhook``, waits
    for an event of that webhook that has the values of ``match``, and for which ``match_expression`` is true.

    The task's result is the request's ``{"body", "headers", "query"}``, without credentials, or what
    ``result`` selects. The task waits without a worker slot, in Airflow 3.3 without a triggerer too.

    :param start: called with ``callback_url``, and with ``op_args`` and ``op_kwargs`` (templated) as a
        function of ``@task`` is; with ``webhook``, without a URL, and what it returns is the match
    :param webhook: name or id of a webhook; it names the DAGs that may wait for it
    :param match: path -> value, such as ``{"body.data.runId": "{{ ti.xcom_pull('start') }}"}``; values are
        templated, and compared as text, so that 1 equals "1"
    :param match_expression: a condition over the event, such as ``"body.total > 100"``, beside ``match`` or
        instead; never templated
    :param look_back: events that the webhook received so long before the task began to wait count too
    :param broadcast: share the event with the other tasks that it matches
    :param timeout: from the beginning of the try; a task that gets no request in time fails
    :param result: expression for the result, such as ``"${Webhook::Body.status}"``
    :param fail_when: expression that fails the task where it is true, such as ``"body.status == 'failed'"``
    :param soft_fail: skip the task instead of failing it, where the request fails it or does not come
    """

    template_fields: Sequence[str] = ("op_args", "op_kwargs", "match")
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py", "match": "json"}
    # Functions cannot always be copied.
    shallow_copy_attrs: Sequence[str] = ("start",)

    def __init__(
        self,
        *,
        start: Callable[..., Any] | None = None,
        webhook: str | None = None,
        match: Mapping[str, Any] | None = None,
        match_expression: str | None = None,
        look_back: timedelta = DEFAULT_LOOK_BACK,
        broadcast: bool = False,
        timeout: timedelta = DEFAULT_TIMEOUT,
        result: str | None = None,
        fail_when: str | None = None,
        soft_fail: bool = False,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_form(start, webhook, match, match_expression, look_back)
        if start is not None and webhook is None:
            _check_function(start)
        if not isinstance(timeout, timedelta) or timeout <= timedelta():
            raise ValueError(f"timeout must be a timedelta above zero, not {timeout!r}.")
        _check_expressions(result, fail_when)
        self.start = start
        self.webhook = webhook
        self.match = match
        self.match_expression = match_expression
        self.look_back = look_back
        self.broadcast = broadcast
        self.timeout = timeout
        self.result = result
        self.fail_when = fail_when
        self.soft_fail = soft_fail
        self.op_args = op_args or []
        self.op_kwargs = op_kwargs or {}

    def execute(self, context: Context) -> NoReturn:
        """Register the wait, call the function if there is one, and wait.

        :raises WaitFailed: the worker knows no public URL, ``dag.test()`` runs the task, or a template of
            ``match`` found nothing
        """
        began_at = _utc_now()
        if context["dag_run"].triggering_user_name == _OF_DAG_TEST:
            raise WaitFailed(
                "dag.test() cannot run a task that waits for a webhook: no endpoint receives its call. "
                "Trigger the DAG in Airflow, or pass mark_success_pattern to dag.test()."
            )
        if self.webhook is not None:
            match = self.match if self.start is None else self._start(self.start, context)
            self._register_match(context, began_at, match)
            what = f"an event of webhook {self.webhook}"
        else:
            assert self.start is not None
            self._start(self.start, context, self._register(context, began_at))
            what = "a call"
        deadline = began_at + self.timeout
        self.log.info("Waiting for %s until %s.", what, deadline.isoformat(timespec="seconds"))
        self._park(max(deadline - _utc_now(), timedelta()) + AIRFLOW_GRACE)

    def complete_wait(self, context: Context, event: Mapping[str, Any]) -> Any:
        """The result of the task, once it is resumed.

        :raises WaitFailed: the call fails the task, or none came in time
        """
        if REFUSED_KEY in event:
            # Not skipped by soft_fail: the webhook would never resume the task.
            raise WaitFailed(event[REFUSED_KEY])
        if event.get("error_type") == TIMEOUT:
            self._fail(self._timeout_message(event))
        outcome = json.loads(event["outcome"])
        if FAILURE_KEY in outcome:
            # Quoted, because it is the payload's.
            self._fail(
                f"The {self._what} fails the task, as fail_when says. Its message: {outcome[FAILURE_KEY]!r}"
            )
        if "resumed_by" in event:
            self.log.info("Resumed by %s, without a request.", event["resumed_by"])
        else:
            self.log.info("Resumed by the %s that is delivery %s.", self._what, event["delivery_id"])
        return outcome[RESULT_KEY]

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of :meth:`execute` when the task is resumed.

        Airflow 3.2 knows no event for a deadline, it resumes the task to fail with a message of its own.
        """
        if next_method == _FAIL_METHOD and (next_kwargs or {}).get("error") == _TRIGGER_TIMEOUT:
            self._fail(self._timeout_message({}))
        return super().resume_execution(next_method, next_kwargs, context)

    @property
    def _what(self) -> str:
        return "call" if self.webhook is None else "event"

    def _start(self, function: Callable[..., Any], context: Context, url: str | None = None) -> Any:
        """Call the function; what it returns counts only for an event."""
        kwargs = {**context, **self.op_kwargs} | ({} if url is None else {CALLBACK_URL: url})
        started = function(*self.op_args, **determine_kwargs(function, self.op_args, kwargs))
        return asyncio.run(started) if inspect.iscoroutine(started) else started

    def _register_match(self, context: Context, began_at: datetime, given: Any) -> None:
        """Leave paths and values where the dispatcher finds them."""
        if given is None and (self.start is not None or self.match_expression is None):
            raise WaitFailed("The function returned no match, such as {'body.data.runId': 7}.")
        try:
            match = {} if given is None else canonical(given)
        except ValueError as error:
            raise WaitFailed(str(error)) from None
        registration = MatchRegistration(
            wait_id=context["ti"].id.hex,
            created_at=began_at,
            deadline=began_at + self.timeout,
            try_number=context["ti"].try_number,
            webhook=self.webhook or "",
            match=match,
            match_expression=self.match_expression,
            look_back_seconds=self.look_back.total_seconds(),
            broadcast=self.broadcast,
            result=self.result,
            fail_when=self.fail_when,
        )
        _leave(context, registration)

    def _register(self, context: Context, began_at: datetime) -> str:
        """Leave the hash of a new token where the endpoint finds it; return the URL."""
        base = configured_public_url()
        if not base:
            raise WaitFailed(
                "The worker does not know under which URL the endpoint is called: "
                "set [inbound_webhooks] public_url, or [api] base_url, in its configuration."
            )
        instance, token = context["ti"], token_hex(TOKEN_BYTES)
        # A log of the function must not tell who may resume the task.
        mask_secret(token)
        registration = Registration(
            wait_id=instance.id.hex,
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            created_at=began_at,
            deadline=began_at + self.timeout,
            try_number=instance.try_number,
            result=self.result,
            fail_when=self.fail_when,
        )
        _leave(context, registration)
        return wait_url(base, registration.wait_id, token)

    def _park(self, left: timedelta) -> NoReturn:
        """Wait without a worker; in Airflow 3.3 without a trigger, too."""
        try:
            from airflow.sdk.exceptions import TaskAwaitingInput
        except ImportError:  # Airflow 3.2
            from inbound_webhooks.operators.trigger import CallTrigger

            self.defer(trigger=CallTrigger(), method_name=self.complete_wait.__name__, timeout=left)
        raise TaskAwaitingInput(method_name=self.complete_wait.__name__, timeout=left)

    def _fail(self, message: str) -> NoReturn:
        raise AirflowSkipException(message) if self.soft_fail else WaitFailed(message)

    def _timeout_message(self, event: Mapping[str, Any]) -> str:
        message = f"No call came within {self.timeout}."
        if self.webhook is not None:
            message = f"No event of webhook {self.webhook} matched within {self.timeout}."
        if refused := event.get("refused_calls"):
            calls = f"1 {self._what} was" if refused == 1 else f"{refused} {self._what}s were"
            message = f"{message} {calls} refused, the last one because: {event.get('refusal')}"
        return message


class _DecoratedWait(DecoratedOperator, WaitForWebhook):
    """What a function with ``@wait_for_webhook`` becomes."""

    custom_operator_name = "@wait_for_webhook"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        given = dict(op_kwargs or {})
        if kwargs.get("webhook") is None:
            _check_function(python_callable)
            given = {CALLBACK_URL: _NOT_YET} | given
            if given[CALLBACK_URL] != _NOT_YET:
                raise TypeError(f"{CALLBACK_URL} is passed by wait_for_webhook; leave it out.")
        super().__init__(
            python_callable=python_callable,
            # The URL is known when the task runs; until then DecoratedOperator misses no argument.
            op_kwargs=given,
            op_args=op_args,
            kwargs_to_upstream={"start": python_callable, "op_args": op_args, "op_kwargs": given},
            **kwargs,
        )


def wait_for_webhook(
    python_callable: Callable[..., Any] | None = None,
    *,
    webhook: str | None = None,
    match_expression: str | None = None,
    look_back: timedelta = DEFAULT_LOOK_BACK,
    broadcast: bool = False,
    timeout: timedelta = DEFAULT_TIMEOUT,
    result: str | None = None,
    fail_when: str | None = None,
    soft_fail: bool = False,
    **kwargs: Any,
) -> TaskDecorator:
    """Make a task of a function that starts something and hands out ``callback_url``.

    With ``webhook``, it hands out nothing: it returns the match of the event that the task waits for, such as
    ``{"body.data.runId": run_id}``.

    Its other arguments are as with ``@task``: templated, and mapped by ``expand``. The rest is as in
    :class:`WaitForWebhook`; ``kwargs`` are arguments of Airflow's operators, such as ``retries``.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_DecoratedWait,
        webhook=webhook,
        match_expression=match_expression,
        look_back=look_back,
        broadcast=broadcast,
        timeout=timeout,
        result=result,
        fail_when=fail_when,
        soft_fail=soft_fail,
        **kwargs,
    )


def _leave(context: Context, registration: Registration | MatchRegistration) -> None:
    """Store what a task waits for, where endpoint and dispatcher find it."""
    instance = context["ti"]
    # Not by the configured backend, which may store a reference that only workers can follow.
    BaseXCom.set(
        key=XCOM_KEY,
        value=registration.as_json(),
        dag_id=instance.dag_id,
        task_id=instance.task_id,
        run_id=instance.run_id,
        map_index=-1 if instance.map_index is None else instance.map_index,
    )


def _utc_now() -> datetime:
    # Of our own modules, DAG files import none that a worker does not need.
    return datetime.now(timezone.utc)  # noqa: TID251


def _check_function(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    if not any(each.name == CALLBACK_URL or each.kind is each.VAR_KEYWORD for each in parameters):
        raise TypeError(
            f"The function needs a parameter {CALLBACK_URL}: it gets the URL that resumes the task."
        )


def _check_expressions(result: str | None, fail_when: str | None) -> None:
    """Let the import of the DAG fail with the place in the expression."""
    try:
        check_expressions(result, fail_when)
    except TemplateRefused as error:
        raise ValueError(error.message) from None
