"""Mails on their way: sent once, later where the server is away, never again where it refuses them."""

from __future__ import annotations

import logging
import os
import re
import signal
import smtplib
import subprocess
import sys
from datetime import timedelta
from email.message import EmailMessage

import pytest

from tests.infrastructure.mail_server import FROM, html_of, text_of
from tests.infrastructure.webhooks_builder import Hook, rows, store_webhook
from tests.integration.dispatch.conftest import AT
from tests.promises.test_many_dispatchers import wait_until

HOOK = Hook("abcdefghij", "0" * 64, "orders of the shop")


def make_mailer(clock, **settings):
    from inbound_webhooks.notifications.sender import NotificationSender
    from inbound_webhooks.settings import Settings

    return NotificationSender(Settings(**settings), now=clock)


@pytest.fixture
def mailer(clock):
    return make_mailer(clock)


def store_mail(*recipients: str, hook: Hook | None = None, count: int = 1, at=AT, **fields) -> None:
    """Write mails as the dispatcher does, about ``count`` deliveries that failed."""
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.mails import write_mails

    hook = hook or store_webhook(notify_failure=recipients, notify_success=recipients)
    with transaction() as connection:
        outcomes = [outcome(hook, number, **fields) for number in range(count)]
        write_mails(connection, outcomes, at=at, digest_window_seconds=60)


def outcome(hook: Hook, number: int = 0, **fields):
    from inbound_webhooks.records.failed_task import FailedTask
    from inbound_webhooks.storage.outcomes import Outcome

    base = {
        "delivery_id": f"{number:032x}",
        "webhook_id": hook.id,
        "webhook_name": hook.name,
        "dag_id": "orders",
        "run_id": f"webhook__{number:032x}",
        "state": "failed",
        "received_at": AT,
        "started_at": AT,
        "finished_at": AT + timedelta(seconds=125),
        "failed_tasks": (FailedTask("work", -1, 2), FailedTask("part", 3, 1)),
    }
    return Outcome(**base | fields)


def send_all(mailer) -> None:
    while mailer.send_due():
        pass


# --- what arrives ---------------------------------------------------------------------------


def test_a_mail_arrives_once_with_what_happened_and_links(database, mailer, mail_server, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/af/")
    store_mail("a@example.com")
    send_all(mailer)
    (message,) = mail_server.messages
    text = html_of(message)
    assert message["Subject"] == "[Airflow] orders of the shop: orders failed"
    assert (message["To"], mail_server.envelopes) == ("a@example.com", [(FROM, ["a@example.com"])])
    run = f"https://airflow.example.com/af/dags/orders/runs/webhook__{0:032x}"
    for part in (
        f'href="{run}"',
        f'href="{run}/tasks/work?try_number=2"',
        f'href="{run}/tasks/part/mapped/3?try_number=1"',
        f'href="https://airflow.example.com/af/plugin/webhooks?delivery={0:032x}"',
        "0:02:05",
        "2030-01-01 12:00:00 UTC",
    ):
        assert part in text
    (mail,) = rows("mail")
    assert (mail.state, mail.sent_at, mail.attempts, mail.next_attempt_at) == ("sent", AT, 1, None)


ADDRESSES = {
    "ops@corp.local": "ops@corp.local",
    "x@localhost": "x@localhost",
    "alerts@mail.test": "alerts@mail.test",
    "ops@bücher.example": "ops@xn--bcher-kva.example",
    "ops@mailhost": "ops@mailhost",
    "o'brien+a@corp.internal": "o'brien+a@corp.internal",
    "jürgen@bücher.test": "jürgen@xn--bcher-kva.test",
    "管理@例え.local": "管理@xn--r8jz45g.local",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_of_an_internal_domain_or_in_unicode_gets_its_mail(
    sqlite_database, mailer, mail_server, address
):
    store_mail(address)
    send_all(mailer)
    (message,) = mail_server.messages
    expected = ADDRESSES[address]
    assert (message["To"], mail_server.envelopes) == (expected, [(FROM, [expected])])
    assert message["Subject"] == "[Airflow] orders of the shop: orders failed"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "orders of the shop" in html_of(message)
    assert rows("mail")[0].state == "sent"


def test_a_server_without_smtputf8_gets_no_mail_that_it_cannot_deliver(sqlite_database, mailer, mail_server):
    mail_server.stop()
    mail_server.enable_smtputf8 = False
    mail_server.start()
    store_mail("jürgen@corp.local")
    send_all(mailer)
    (mail,) = rows("mail")
    assert (mail.state, mail_server.messages) == ("refused", [])
    assert "SMTPUTF8" in mail.error


NO_ADDRESSES = (
    "a@b.example\nBcc: c@d.example",
    "a@b.example\r\nBcc: c@d.example",
    "a\r\n@b.example",
    "a\u2028b@c.example",
    "a@b.example, c@d.example",
    "a@b\u3002\nexample",
    "<a@b.example>",
    "A <a@b.example>",
    "a@[127.0.0.1]",
    "a@",
    "a@.local",
    "a@corp.local.",
    "@corp.local",
    "a b@corp.local",
    '"a\nb"@corp.local',
    "a@-corp.local",
)


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused_when_it_is_entered_and_when_it_is_sent(
    sqlite_database, mail_server, address
):
    from inbound_webhooks.errors import InvalidDefinition, MailRefused
    from inbound_webhooks.notifications.rendering import RenderedMail
    from inbound_webhooks.notifications.transport import send

    with pytest.raises(InvalidDefinition):
        store_webhook(notify_failure=[address])
    with pytest.raises(MailRefused, match="is not an e-mail address"):
        send(address, RenderedMail("subject", "html", "text"), message_id="<a@b>")
    assert mail_server.attempts == 0


def test_a_digest_lists_its_deliveries_and_says_how_many_more(sqlite_database, mailer, mail_server):
    store_mail("a@example.com", count=53)
    send_all(mailer)
    (message,) = mail_server.messages
    assert message["Subject"] == "[Airflow] orders of the shop: 53 deliveries failed"
    assert html_of(message).count("/plugin/webhooks?delivery=") == 50
    assert "and 3 more" in html_of(message)
    assert text_of(message).count("/plugin/webhooks?delivery=") == 50
    assert "and 3 more" in text_of(message)


def test_values_stay_inert_in_html_and_headers(sqlite_database, mailer, mail_server):
    evil = "<b>x</b>\"'&{{ 7 * 7 }}"
    hook = store_webhook(evil, notify_failure=["a@example.com"])
    store_mail(hook=hook, error="<script>alert(1)</script>", dag_id="a/../b?c", failed_tasks=())
    send_all(mailer)
    (message,) = mail_server.messages
    text = html_of(message)
    assert "<b>x</b>" not in text
    assert "<script>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;&#34;&#39;&amp;{{ 7 * 7 }}" in text
    assert "dags/a%2F..%2Fb%3Fc/runs/" in text
    assert message["Subject"].startswith(f"[Airflow] {evil}: ")


@pytest.mark.parametrize("address", ["a@example.com", "jürgen@bücher.test"])
def test_a_mail_has_a_text_that_says_what_its_html_says(sqlite_database, mailer, mail_server, address):
    """By both ways to the server: the second address needs SMTPUTF8."""
    store_mail(address, error="The run timed out.\nIt had 2 tasks.")
    send_all(mailer)
    (message,) = mail_server.messages
    assert message.get_content_type() == "multipart/alternative"
    # A program that shows several of them shows the last one.
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    links = re.findall(r'href="([^"]+)"', html_of(message))
    assert len(links) == 4
    for shown in (*links, "The run timed out. It had 2 tasks.", "part[3]", "0:02:05", "orders failed"):
        assert shown in text_of(message)
        assert shown in html_of(message).replace("</b>", "")
    assert "<" not in text_of(message)
    assert max(map(len, text_of(message).splitlines())) < 200


def test_a_custom_backend_sends_the_html_to_its_own_server(sqlite_database, mailer, mail_server, monkeypatch):
    use_backend(monkeypatch, "send_alone")
    monkeypatch.setenv("MAIL_PORT", str(mail_server.port))
    store_mail("a@example.com", error="The run timed out.")
    send_all(mailer)
    (message,) = mail_server.messages
    assert "The run timed out." in html_of(message)
    assert "/plugin/webhooks?delivery=" in html_of(message)


def test_a_mail_holds_the_beginning_of_a_long_error(sqlite_database, mailer, mail_server):
    store_mail("a@example.com", error="x" * 5_000)
    send_all(mailer)
    (message,) = mail_server.messages
    for body in (html_of(message), text_of(message)):
        assert 400 < body.count("x" * 100) * 100 <= 500


def test_a_mail_fits_a_phone(sqlite_database, mailer, mail_server):
    from tests.acceptance.browser import chromium

    store_mail("a@example.com", count=2, error="parameter " + "x" * 400, dag_id="a_dag_" + "y" * 200)
    send_all(mailer)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_content(html_of(mail_server.messages[0]))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_name_that_is_not_ascii_arrives_as_it_is(sqlite_database, mailer, mail_server):
    hook = store_webhook("Aufträge 日本", notify_failure=["a@example.com"])
    store_mail(hook=hook)
    send_all(mailer)
    (message,) = mail_server.messages
    assert "Aufträge 日本" in message["Subject"]
    assert "Aufträge 日本" in html_of(message)


def test_the_operators_templates_are_used_and_escaped(sqlite_database, clock, mail_server):
    hook = store_webhook("<b>x</b>", notify_failure=["a@example.com"])
    store_mail(hook=hook)
    html = "<h1>{{ webhook }}</h1>{% for delivery in deliveries %}{{ delivery.state }}{% endfor %}"
    send_all(
        make_mailer(clock, email_subject="{{ kind }} of {{ webhook }}\n\nBcc: c@d.example", email_html=html)
    )
    (message,) = mail_server.messages
    assert message["Subject"] == "failure of <b>x</b> Bcc: c@d.example"
    assert message["Bcc"] is None
    assert html_of(message).strip() == "<h1>&lt;b&gt;x&lt;/b&gt;</h1>failed"


@pytest.mark.parametrize(
    "broken", ["{% for", "{{ no.such.thing }}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}"]
)
def test_a_template_that_does_not_work_costs_no_mail(sqlite_database, clock, mail_server, broken, caplog):
    store_mail("a@example.com")
    send_all(make_mailer(clock, email_html=broken))
    (message,) = mail_server.messages
    assert "?delivery=" in html_of(message)
    assert "email_html" in caplog.text


def test_a_template_reaches_nothing_of_python(sqlite_database, clock, mail_server):
    store_mail("a@example.com")
    send_all(make_mailer(clock, email_html="{{ deliveries.__class__ }}{{ webhook.__init__ }}|"))
    assert html_of(mail_server.messages[0]).strip() == "|"


def test_from_email_of_airflow_goes_before_that_of_the_connection(
    sqlite_database, mailer, mail_server, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__EMAIL__FROM_EMAIL", "ops@example.com")
    store_mail("a@example.com")
    send_all(mailer)
    assert mail_server.messages[0]["From"] == "ops@example.com"


def test_another_connection_is_used_where_airflow_names_one(
    sqlite_database, mailer, mail_server, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", mail_server.connection(from_email="other@example.com"))
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_CONN_ID", "other")
    store_mail("a@example.com")
    send_all(mailer)
    assert mail_server.messages[0]["From"] == "other@example.com"


CALLS: list[tuple[tuple, dict]] = []


def keep_call(*arguments, **named) -> None:
    """A backend as operators write them."""
    CALLS.append((arguments, named))


def send_alone(recipient, subject, html, **_named) -> None:
    """A backend that knows nothing of Airflow's connections."""
    message = EmailMessage()
    message["To"], message["Subject"], message["From"] = recipient, subject, FROM
    message.set_content(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", int(os.environ["MAIL_PORT"])) as client:
        client.send_message(message)


def keep_text(recipient, subject, html, *, text_content, **named) -> None:
    """A backend that sends both parts."""
    CALLS.append(((recipient, html, text_content), named))


def refuse_call(*_arguments, **_named) -> None:
    raise RuntimeError("".join(("s3", "cret")))  # in a traceback, the source shows no secret


def test_a_custom_backend_is_called_as_airflow_calls_it(sqlite_database, mailer, monkeypatch):
    use_backend(monkeypatch, "keep_call")
    monkeypatch.setenv("AIRFLOW__EMAIL__FROM_EMAIL", "ops@example.com")
    store_mail("a@example.com")
    CALLS.clear()
    send_all(mailer)
    (((to, subject, html), named),) = CALLS
    assert (to, subject) == ("a@example.com", "[Airflow] orders of the shop: orders failed")
    assert "?delivery=" in html
    assert named == {"conn_id": "smtp_default", "from_email": "ops@example.com"}


def test_a_custom_backend_with_a_parameter_for_the_text_gets_both_parts(sqlite_database, mailer, monkeypatch):
    use_backend(monkeypatch, "keep_text")
    store_mail("a@example.com", error="The run timed out.")
    CALLS.clear()
    send_all(mailer)
    (((to, html, text), named),) = CALLS
    assert (to, set(named)) == ("a@example.com", {"conn_id", "from_email"})
    assert "<div" in html
    assert "<div" not in text
    assert all("The run timed out." in part and "?delivery=" in part for part in (html, text))


def test_a_custom_backend_that_fails_is_tried_again_and_its_message_kept_to_itself(
    sqlite_database, mailer, monkeypatch, caplog
):
    use_backend(monkeypatch, "refuse_call")
    store_mail("a@example.com")
    send_all(mailer)
    (mail,) = rows("mail")
    assert (mail.state, mail.error) == ("waiting", "The mail could not be sent (RuntimeError).")
    assert "s3cret" not in caplog.text


def use_backend(monkeypatch, name: str) -> None:
    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "a_mail_backend", module)
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_BACKEND", f"a_mail_backend.{name}")


# --- what does not --------------------------------------------------------------------------


def test_a_server_that_is_away_delays_mails_until_it_is_back(database, mailer, mail_server, clock):
    from inbound_webhooks.event.retry import MAIL_DELAYS_SECONDS

    store_mail("a@example.com", "b@example.com")
    mail_server.stop()
    for delay in MAIL_DELAYS_SECONDS[:5]:
        for _ in range(3):
            mailer.send_due()
        clock.at += timedelta(seconds=delay)
    assert {(mail.state, mail.attempts) for mail in rows("mail")} == {("waiting", 5)}
    assert "cannot be used" in rows("mail")[0].error
    mail_server.start()
    send_all(mailer)
    assert sorted(message["To"] for message in mail_server.messages) == ["a@example.com", "b@example.com"]
    assert {(mail.state, mail.error) for mail in rows("mail")} == {("sent", None)}


@pytest.mark.parametrize("where", ["rcpt_reply", "data_reply"])
def test_a_550_is_recorded_and_not_repeated(database, mailer, mail_server, clock, where):
    setattr(mail_server, where, "550 5.1.1 nobody of that name here")
    store_mail("a@example.com")
    send_all(mailer)
    clock.at += timedelta(days=3)
    send_all(mailer)
    (mail,) = rows("mail")
    assert (mail.state, mail.attempts, mail_server.attempts) == ("refused", 1, 1)
    assert mail.error == "The mail server answered 550 5.1.1 nobody of that name here"


@pytest.mark.parametrize("where", ["rcpt_reply", "data_reply"])
def test_a_451_is_tried_again(sqlite_database, mailer, mail_server, clock, where):
    setattr(mail_server, where, "451 4.7.1 come back later")
    store_mail("a@example.com")
    send_all(mailer)
    assert (rows("mail")[0].state, mail_server.attempts) == ("waiting", 1)
    setattr(mail_server, where, None)
    clock.at += timedelta(minutes=1)
    send_all(mailer)
    assert (rows("mail")[0].state, len(mail_server.messages)) == ("sent", 1)


def test_one_address_that_is_refused_does_not_cost_the_others_their_mail(sqlite_database, clock, mail_server):
    store_mail("gone@example.com", "a@example.com")
    mail_server.rcpt_reply = "550 no"
    make_mailer(clock).send_due()
    mail_server.rcpt_reply = None
    send_all(make_mailer(clock))
    assert sorted(mail.state for mail in rows("mail")) == ["refused", "sent"]


def test_after_a_day_a_mail_is_given_up(sqlite_database, mailer, mail_server, clock):
    from inbound_webhooks.event.retry import MAIL_DELAYS_SECONDS

    store_mail("a@example.com")
    mail_server.stop()
    for delay in (*MAIL_DELAYS_SECONDS, 0):
        mailer.send_due()
        clock.at += timedelta(seconds=delay)
    (mail,) = rows("mail")
    assert (mail.state, mail.next_attempt_at) == ("given_up", None)
    assert timedelta(hours=23) < clock.at - AT < timedelta(hours=26)


def test_a_connection_that_is_not_there_is_said_and_tried_again(sqlite_database, mailer, monkeypatch):
    monkeypatch.setenv("AIRFLOW__EMAIL__EMAIL_CONN_ID", "nowhere")
    store_mail("a@example.com")
    send_all(mailer)
    (mail,) = rows("mail")
    assert (mail.state, mail.error) == (
        "waiting",
        "The mail could not be sent: SMTP connection is not found.",
    )


# The provider's hook leaves the socket of a login that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_password_of_the_mail_server_is_in_no_error_and_no_log(
    sqlite_database, mailer, mail_server, monkeypatch, caplog
):
    """The server knows no login, so this one fails."""
    import json

    made = json.loads(mail_server.connection()) | {"login": "airflow", "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(made))
    store_mail("a@example.com")
    with caplog.at_level(logging.DEBUG):
        send_all(mailer)
    (mail,) = rows("mail")
    assert mail.state == "waiting"
    assert "s3cret" not in mail.error + caplog.text


# --- several at once, and one that dies -----------------------------------------------------


def test_two_mailers_send_a_mail_once(database, mail_server, clock):
    from concurrent.futures import ThreadPoolExecutor

    store_mail(*[f"a{number}@example.com" for number in range(30)])
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send_all, [make_mailer(clock) for _ in range(3)]))
    send_all(make_mailer(clock))
    assert sorted(message["To"] for message in mail_server.messages) == sorted(
        f"a{number}@example.com" for number in range(30)
    )


def test_a_mail_that_another_process_is_sending_waits_until_its_claim_ends(
    database, mailer, mail_server, clock
):
    from inbound_webhooks.notifications.sender import CLAIM

    store_mail("a@example.com")
    mailer._claim()
    assert not make_mailer(clock).send_due()
    clock.at += CLAIM
    assert make_mailer(clock).send_due()


def test_a_sender_that_lost_its_claim_records_nothing(sqlite_database, mailer, mail_server, clock):
    from inbound_webhooks.notifications.sender import CLAIM

    store_mail("a@example.com")
    slow = make_mailer(clock)
    mail = slow._claim()
    clock.at += CLAIM
    mail_server.stop()
    mailer.send_due()
    slow._record(mail, state="refused", next_attempt_at=None)
    assert [(mail.state, mail.attempts) for mail in rows("mail")] == [("waiting", 2)]


KILLED = """
import sys, time
from inbound_webhooks.dispatch.run_tracker import RunTracker
from inbound_webhooks.settings import Settings

RunTracker(Settings()).follow()
print("recorded", flush=True)
time.sleep(60)
"""


def test_a_dispatcher_killed_between_outcome_and_mail_still_mails(postgres_database, mail_server):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.monitoring.clock import utc_now
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import change_run, states, store_delivery

    store_dag("orders")
    stored = store_delivery(store_webhook(notify_failure=["a@example.com"]))
    Dispatcher(Settings()).dispatch_due()
    change_run(f"webhook__{stored}", state="failed", end_date=utc_now())
    victim = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=os.environ)
    try:
        assert any(line.strip() == b"recorded" for line in victim.stdout)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    assert (states(), mail_server.messages) == (["failed"], [])
    send_all(make_mailer(utc_now))
    assert [message["To"] for message in mail_server.messages] == ["a@example.com"]


def test_a_dead_mail_server_delays_nothing_else(database, mail_server, monkeypatch):
    """It takes connections and never says a word; runs are made and outcomes recorded meanwhile."""
    import socket
    import threading

    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.monitoring.clock import utc_now
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import change_run, delivery, store_delivery

    mail_server.stop()
    store_dag("orders")
    hook = store_webhook(notify_failure=["a@example.com"], notify_success=["a@example.com"])
    store_mail(hook=hook, at=utc_now())
    with socket.create_server(("127.0.0.1", mail_server.port)):
        service = DispatchService(Settings(dispatcher_poll_seconds=0.05, outcome_poll_seconds=0.1))
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            wait_until(lambda: rows("mail")[0].attempts == 1)
            stored = store_delivery(hook)
            wait_until(lambda: delivery(stored).state == "dispatched")
            change_run(f"webhook__{stored}", state="success", end_date=utc_now())
            wait_until(lambda: delivery(stored).state == "succeeded")
            assert rows("mail")[0].state == "waiting"
        finally:
            service.stop()
            thread.join(15)
    assert not thread.is_alive()
    wait_until(lambda: not [each for each in threading.enumerate() if "mails" in each.name])
