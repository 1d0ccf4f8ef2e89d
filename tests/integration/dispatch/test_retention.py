"""What is old goes, in small batches; what is not finished stays, and no writer waits for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.webhooks_builder import (
    rows,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT

OLD, YOUNG = AT - timedelta(days=31), AT - timedelta(days=29)


def make_cleaner(clock, **options):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    settings = {name: options.pop(name) for name in ("retention_days",) if name in options}
    return RetentionJob(Settings(**settings), now=clock, **options)


def store_old_mail(hook, **columns) -> None:
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction
    from tests.integration.dispatch.test_notifications import store_mail

    before = {mail.id for mail in rows("mail")}
    store_mail(hook=hook)
    (made,) = {mail.id for mail in rows("mail")} - before
    with transaction() as connection:
        connection.execute(tables.mail.update().where(tables.mail.c.id == made).values(columns))


def store_rejection(webhook_id: str, rejected_at) -> None:
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    noted = Rejection(
        webhook_id=webhook_id, rejected_at=rejected_at, source_ip="::1", method="PUT", status=405, reason="x"
    )
    with transaction() as connection:
        insert_rejections(connection, [noted])


def test_what_is_older_than_the_retention_goes_and_the_rest_stays(database, clock):
    hook = store_webhook()
    for state in ("refused", "filtered", "cancelled", "succeeded", "failed", "undeliverable"):
        store_delivery(hook, state=state, received_at=OLD)
    young = store_delivery(hook, state="succeeded", received_at=YOUNG)
    make_cleaner(clock).clean()
    assert [row.id for row in rows("delivery")] == [young]


def test_what_is_not_finished_stays_however_old_it_is(database, clock):
    hook = store_webhook()
    for state in ("accepted", "dispatched"):
        store_delivery(hook, state=state, received_at=AT - timedelta(days=1000))
    make_cleaner(clock).clean()
    assert states() == ["accepted", "dispatched"]


def test_old_mails_go_with_their_lists_and_those_to_be_sent_stay(database, clock):
    hook = store_webhook(notify_failure=["a@example.com"])
    store_old_mail(hook, state="sent", created_at=OLD)
    store_old_mail(hook, state="refused", created_at=OLD)
    store_old_mail(hook, state="sent", created_at=YOUNG)
    store_old_mail(hook, state="waiting", created_at=OLD)
    make_cleaner(clock).clean()
    kept = {mail.id for mail in rows("mail")}
    assert sorted(mail.state for mail in rows("mail")) == ["sent", "waiting"]
    assert {row.mail_id for row in all_listed()} == kept


def test_old_rejections_go(database, clock):
    hook = store_webhook()
    for at in (OLD, OLD, YOUNG):
        store_rejection(hook.id, at)
    make_cleaner(clock, batch_size=2).clean()
    assert [row.rejected_at for row in rows("rejection")] == [YOUNG]


def test_a_deduplication_key_is_remembered_for_a_week_though_its_content_goes(database, clock):
    hook = store_webhook()
    sent = {"headers": '[["A", "b"]]', "body": b"a canary", "query_string": "c=d", "conf": '{"e": 1}'}
    for days in (2, 6, 8):
        at = AT - timedelta(days=days)
        store_delivery(hook, state="succeeded", received_at=at, dedup_key=f"{days:064d}", **sent)
    cleaner = make_cleaner(clock, retention_days=1)
    assert [cleaner.clean(), cleaner.clean()] == [3, 0]
    assert sorted(row.dedup_key[-1] for row in rows("delivery")) == ["2", "6"]
    assert {(row.body, row.headers, row.query_string, row.conf) for row in rows("delivery")} == {
        (b"", "[]", "", None)
    }


def test_it_goes_in_bounded_batches_with_time_between_them(database, clock):
    """As many rows as a batch has, in a transaction each."""
    pauses: list[int] = []
    store_deliveries(store_webhook(), 25, state="succeeded", received_at=OLD)
    cleaner = make_cleaner(clock, batch_size=10, pause=lambda _seconds: pauses.append(len(rows("delivery"))))
    assert cleaner.clean() == 25
    assert pauses == [15, 5]


def test_a_cleaner_that_is_stopped_ends_after_the_batch_at_hand(sqlite_database, clock):
    store_deliveries(store_webhook(), 25, state="succeeded", received_at=OLD)
    cleaner = make_cleaner(clock, batch_size=10, pause=lambda _seconds: cleaner.stop())
    cleaner.clean()
    assert len(rows("delivery")) == 15


def test_a_delivery_is_written_without_waiting_for_a_batch(postgres_database, clock):
    """A batch whose transaction has not ended, and a connection that gives up on any lock at once."""
    from airflow import settings

    from inbound_webhooks.storage import retention, tables
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook()
    store_deliveries(hook, 20, state="succeeded", received_at=OLD)
    (other,) = store_deliveries(hook, 1, state="dispatched")
    with transaction() as deleting:
        limits = {"before": AT, "keys_before": AT, "limit": 20}
        assert retention.delete_deliveries(deleting, **limits) == 20
        with settings.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
            table = tables.delivery
            connection.execute(table.insert(), dict(row_of(other)) | {"id": "1" * 32})
            connection.execute(table.update().where(table.c.id == other).values(state="succeeded"))
    assert len(rows("delivery")) == 2


def test_two_cleaners_leave_each_others_rows_alone(postgres_database, clock):
    from inbound_webhooks.storage import retention
    from inbound_webhooks.storage.database import transaction

    store_deliveries(store_webhook(), 20, state="succeeded", received_at=OLD)
    with transaction() as first, transaction() as second:
        limits = {"before": AT, "keys_before": AT, "limit": 12}
        deleted = [retention.delete_deliveries(each, **limits) for each in (first, second)]
    assert (deleted, rows("delivery")) == ([12, 8], [])


def test_dispatchers_that_were_not_seen_for_a_day_are_forgotten(database, clock):
    from inbound_webhooks.storage import dispatchers
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        for letter, hours in (("a", 25), ("b", 23)):
            row = dispatchers.DispatcherRow(id=letter * 32, host="here", pid=1, started_at=OLD)
            dispatchers.note_dispatcher(connection, row, AT - timedelta(hours=hours))
    make_cleaner(clock).clean()
    assert [row.id for row in rows("dispatcher")] == ["b" * 32]


# --- the queries find their rows by an index ------------------------------------------------


def row_of(delivery_id: str):
    return next(row for row in rows("delivery") if row.id == delivery_id)._mapping


def all_listed():
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.connect() as connection:
        return list(connection.execute(tables.mail_delivery.select()))


def unfinished(connection) -> None:
    from inbound_webhooks.storage import outcomes

    outcomes.unfinished(connection, after="", limit=10)


def finished(connection) -> None:
    from inbound_webhooks.storage import outcomes

    last = outcomes.TrackedDelivery(id="1" * 32, dag_id="orders", run_id="x", state="failed", finished_at=AT)
    outcomes.finished_since(connection, OLD, before=last, limit=10)


def old_deliveries(connection) -> None:
    from inbound_webhooks.storage import retention

    retention.delete_deliveries(connection, before=OLD, keys_before=OLD, limit=10)


def due_mail(connection) -> None:
    from inbound_webhooks.storage import mails

    mails.is_mail_due(connection, AT)


def old_mails(connection) -> None:
    from inbound_webhooks.storage import retention

    retention.delete_mails(connection, before=OLD, limit=10)


def mails_of_a_delivery(connection) -> None:
    from inbound_webhooks.storage import mails

    mails.mails_of_delivery(connection, "1" * 32)


def due_deliveries(connection) -> None:
    from inbound_webhooks.storage import claims

    claims.claim_due(connection, "A" * 10, AT, limit=10, limit_bytes=1_000)


def backlog(connection) -> None:
    from inbound_webhooks.storage import deliveries

    deliveries.count_accepted_by_webhook(connection, 10)


def backlog_of_a_webhook(connection) -> None:
    from inbound_webhooks.storage import deliveries

    deliveries.count_accepted(connection, "A" * 10, 10)


def active_runs(connection) -> None:
    from inbound_webhooks.storage import claims

    claims.count_active(connection, "A" * 10)


def deliveries_to_cancel(connection) -> None:
    from inbound_webhooks.storage import deliveries

    deliveries.cancel_accepted(connection, "A" * 10, 10)


def deliveries_of_a_wrong_clock(connection) -> None:
    from inbound_webhooks.storage import clock_skew

    clock_skew.reschedule_future_attempts(connection, AT)


def next_mail(connection) -> None:
    from inbound_webhooks.storage import mails

    mails.claim_mail(connection, AT, until=AT, after="A" * 10)


def due_replay_job(connection) -> None:
    from inbound_webhooks.storage import replay_jobs

    replay_jobs.due_job(connection, AT)


def deliveries_to_replay(connection) -> None:
    from inbound_webhooks.storage import replay_jobs

    replay_jobs.waiting_items(connection, "a" * 32, without_webhooks=(), limit=20)


def old_replay_jobs(connection) -> None:
    from inbound_webhooks.storage import replay_jobs

    replay_jobs.delete_jobs(connection, before=AT, limit=10)


INDEXED = {
    due_replay_job: "idx_inbound_webhook_replay_job_running",
    deliveries_to_replay: "idx_inbound_webhook_replay_item_waiting",
    old_replay_jobs: "idx_inbound_webhook_replay_job_finished_at",
    backlog: "idx_inbound_webhook_delivery_waiting",
    backlog_of_a_webhook: "idx_inbound_webhook_delivery_waiting",
    deliveries_to_cancel: "idx_inbound_webhook_delivery_waiting",
    deliveries_of_a_wrong_clock: "idx_inbound_webhook_delivery_waiting",
    next_mail: "idx_inbound_webhook_mail_turns",
    due_deliveries: "idx_inbound_webhook_delivery_waiting",
    unfinished: "idx_inbound_webhook_delivery_unfinished",
    finished: "idx_inbound_webhook_delivery_finished",
    old_deliveries: "idx_inbound_webhook_delivery_ended",
    # Both have just the mails that wait, which is all that is asked for.
    due_mail: ("idx_inbound_webhook_mail_waiting", "idx_inbound_webhook_mail_turns"),
    old_mails: "idx_inbound_webhook_mail_created_at",
    mails_of_a_delivery: "idx_inbound_webhook_mail_delivery_delivery_id",
}


@pytest.mark.parametrize("query", INDEXED, ids=lambda query: query.__name__)
def test_a_query_that_runs_all_the_time_uses_its_index(database, query):
    indexes = INDEXED[query] if isinstance(INDEXED[query], tuple) else (INDEXED[query],)
    plan = plan_of(query, database.backend)
    assert any(index in plan for index in indexes), plan


def test_the_history_of_a_webhook_is_not_read_to_count_its_active_runs(sqlite_database):
    """test_claims.py has the same for PostgreSQL, which needs rows and statistics for it."""
    assert "idx_inbound_webhook_delivery_active" in plan_of(active_runs, "sqlite")


def plan_of(query, backend: str) -> str:
    """What the database would do for the SELECT of a query."""
    from airflow import settings
    from sqlalchemy import event

    asked: list = []

    def keep(_connection, _cursor, statement, parameters, *_) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    event.listen(settings.engine, "before_cursor_execute", keep)
    with settings.engine.begin() as connection:
        query(connection)
        statement, parameters = asked[0]
        if backend == "postgresql":
            fill(connection)
            # The other tables are empty, for which no index is worth it.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
            connection.exec_driver_sql("SET LOCAL enable_incremental_sort = off")
        explain = "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
        found = connection.exec_driver_sql(explain + statement, parameters)
        plan = "\n".join(str(tuple(row)) for row in found)
        connection.get_transaction().rollback()
        return plan


def fill(connection) -> None:
    """Many deliveries and their mails: which index of an empty table is read is a matter of chance."""
    connection.exec_driver_sql(
        "INSERT INTO inbound_webhook_delivery (id, webhook_id, webhook_name, dag_id, state, received_at,"
        " source_ip, query_string, headers, body, response_status, attempts, next_attempt_at)"
        " SELECT 'd' || n, 'w' || mod(n, 20), '', '',"
        " CASE WHEN mod(n, 20) = 0 THEN 'accepted' ELSE 'succeeded' END,"
        " now(), '', '', '[]', '', 202, 0, CASE WHEN mod(n, 20) = 0 THEN now() END"
        " FROM generate_series(1, 4000) AS n"
    )
    connection.exec_driver_sql("ANALYZE inbound_webhook_delivery")
    # Without foreign keys, for the mails themselves have no part in it.
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    connection.exec_driver_sql(
        "INSERT INTO inbound_webhook_mail_delivery (mail_id, position, delivery_id, outcome)"
        " SELECT 'm' || n, 0, 'd' || n, '{}' FROM generate_series(1, 2000) AS n"
    )
    connection.exec_driver_sql("ANALYZE inbound_webhook_mail_delivery")
