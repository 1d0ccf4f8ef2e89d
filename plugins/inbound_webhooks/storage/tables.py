"""The tables, in their own MetaData so that Airflow's migrations ignore them."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.utils.sqlalchemy import UtcDateTime
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from inbound_webhooks.event.sizes import EVENT_TYPE_CHARS, PARTITION_KEY_CHARS
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.records.hold import WINDOW_CHARS
from inbound_webhooks.records.webhook_fields import (
    ASSET_CHARS,
    DAG_ID_CHARS,
    OWNER_CHARS,
    TASK_ID_CHARS,
    WEBHOOK_NAME_CHARS,
)
from inbound_webhooks.urls import WEBHOOK_ID_CHARS


def _schema() -> str | None:
    """The schema of Airflow's tables, which are in the connection's default schema where it is blank.

    Read at import like Airflow's own, because statements are compiled once for the whole process.
    """
    schema: str = conf.get("database", "sql_alchemy_schema", fallback="") or ""
    return None if schema.isspace() else schema or None


metadata = MetaData(schema=_schema())

EMAIL_ADDRESS_CHARS = 254
ACTOR_CHARS = 250
TEAM_NAME_CHARS = 50
"""As in Airflow's own table of teams."""

ACCEPTED = "state = 'accepted'"
UNFINISHED = "state = 'dispatched'"
FINISHED = "state IN ('succeeded', 'failed')"
NOT_DUE = "state IN ('held', 'batched', 'settling', 'in_turn')"
ENDED = "state NOT IN ('accepted', 'dispatched', 'held', 'batched', 'settling', 'in_turn')"
UNUSUAL = "state NOT IN ('accepted', 'dispatched', 'held', 'batched', 'settling', 'in_turn', 'succeeded')"
GROUPED = "state IN ('batched', 'settling', 'in_turn')"
BUSY = "group_key IS NOT NULL AND state IN ('accepted', 'dispatched')"
IN_BATCH = "batch_id IS NOT NULL"
WAITING = "state = 'waiting'"
RUNNING = "state = 'running'"
LISTENING = "listening_until IS NOT NULL"
CALLED = "wait_id IS NOT NULL AND state = 'accepted'"
TO_MATCH = "to_match IS NOT NULL"
MATCHED = "state = 'waiting' AND webhook_id IS NOT NULL"
TAKEN = "state = 'waiting' AND outcome IS NOT NULL"
LOOKS_BACK = "look_back_due IS NOT NULL"
OF_WEBHOOK = "wait_id IS NULL"
CHILD = "parent_id IS NOT NULL"
ROUTE = "source IS NOT NULL"
"""Conditions on a state. Of a delivery: it waits for its run, its run is unfinished, its run has finished,
it is not due, nothing more will be done, the same without the success that most deliveries have, it waits
for others of its group, its run keeps its key busy, its batch is closed. Of a mail: it is to be sent. Of a
replay job: it has not ended; of its delivery: it is to be replayed. Of a wait: no call has resumed its task
yet. Of a webhook: it listens, or has listened lately. Of a delivery again: it is a call that has not resumed
its task yet, it is no call of a waiting task, waiting tasks are still to be compared with it, it was split
from another one. Of a wait for an event: its task waits, an event has matched, earlier events are still to be
compared with it. Of a webhook again: it gets the events of another one.

Partial indexes have them as predicates, so queries must repeat them word for word."""

webhook = Table(
    "inbound_webhook",
    metadata,
    Column("id", String(WEBHOOK_ID_CHARS), primary_key=True),
    Column("name", String(WEBHOOK_NAME_CHARS), nullable=False),
    Column("dag_id", String(DAG_ID_CHARS), nullable=False),
    Column("enabled", Boolean, nullable=False),
    # Raised by each change, so that a request that was checked against an older definition is recognised.
    Column("version", Integer, nullable=False),
    # JSON object in the order of the definition; empty where conf is the whole event.
    Column("mapping", Text, nullable=False),
    Column("response_content_type", String(100), nullable=False),
    Column("response_template", Text, nullable=True),
    Column("response_status", Integer, nullable=True),
    # Response statuses while disabled (403, 503), and for values that break the params (422, 202).
    Column("disabled_status", Integer, nullable=False),
    Column("invalid_status", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("preset", String(40), nullable=True),
    # JSON list of settings of verification schemes.
    Column("verification", Text, nullable=False, server_default="[]"),
    Column("handshake", String(40), nullable=True),
    # JSON list of CIDR blocks; empty where every address may call.
    Column("allowed_addresses", Text, nullable=False, server_default="[]"),
    # Expression for the sender's event type.
    Column("event_type", Text, nullable=True),
    Column("filter", Text, nullable=True),
    Column("dedup", Text, nullable=True),
    Column("max_per_second", Integer, nullable=True),
    # Link that a user has to open before the sender sends events.
    Column("confirm_url", Text, nullable=True),
    # JSON lists of mail addresses: recipients for runs that succeed and for failures.
    Column("notify_success", Text, nullable=False, server_default="[]"),
    Column("notify_failure", Text, nullable=False, server_default="[]"),
    # Limits on deliveries that wait for their run and on active runs; null for none.
    Column("max_backlog", Integer, nullable=True),
    Column("max_active_runs", Integer, nullable=True),
    Column("description", Text, nullable=True),
    # The team whose DAG it may start in Airflow's multi-team mode; null for a DAG without a team.
    Column("team", String(TEAM_NAME_CHARS), nullable=True),
    # The user or group that is responsible for it; a text that names no row.
    Column("owner", String(OWNER_CHARS), nullable=True),
    # Until then, its page shows the requests that come.
    Column("listening_until", UtcDateTime, nullable=True),
    # How long the response waits for the run's result, null for not; and whether senders may choose.
    Column("wait_seconds", Integer, nullable=True),
    Column("prefer_wait", Boolean, nullable=False, server_default="0"),
    # The task whose return value is the result; null for the DAG's own result.
    Column("result_task", String(TASK_ID_CHARS), nullable=True),
    # Expression for the status of a response that has waited.
    Column("result_status", Text, nullable=True),
    # JSON object, name -> template.
    Column("response_headers", Text, nullable=False, server_default="{}"),
    # Name or URI of the asset for which it creates events; null where it starts a DAG.
    Column("asset", String(ASSET_CHARS), nullable=True),
    # Expression for the partition that an event is about.
    Column("partition_key", Text, nullable=True),
    # JSON list of the DAGs that may wait for its events; empty for its own DAG alone.
    Column("waiting_dags", Text, nullable=False, server_default="[]"),
    # Whether tasks wait for its events; null for not. The insert of a delivery reads it from the row that it
    # locks, so that no event is missed between the registration of a wait and its look back.
    Column("awaited", Boolean, nullable=True),
    # Its own hold ("held", "releasing"), and that of all webhooks.
    Column("hold", String(10), nullable=True),
    Column("held_by_all", Boolean, nullable=False, server_default="0"),
    # How held deliveries go on; null for at once.
    Column("release_per_minute", Integer, nullable=True),
    Column("release_window", String(WINDOW_CHARS), nullable=True),
    # The hours in which deliveries start; null for always.
    Column("start_window", String(WINDOW_CHARS), nullable=True),
    # Expressions for the fields of runs, and the template of their note.
    Column("logical_date", Text, nullable=True),
    Column("run_after", Text, nullable=True),
    Column("note", Text, nullable=True),
    # Expression for the list whose items are events of their own.
    Column("each", Text, nullable=True),
    # The webhook whose events it gets, null for one that has senders; and how many webhooks get its own.
    Column("source", String(WEBHOOK_ID_CHARS), nullable=True),
    Column("route_count", Integer, nullable=False, server_default="0"),
    # Which of the webhooks that get its events take one: "all" that match, or the "first"; null for none.
    Column("routes", String(10), nullable=True),
    # Its place among the webhooks that get the events of the same one.
    Column("position", Integer, nullable=True),
    # One run of several events: the expression of their key, how many, how long after the first one.
    Column("batch_by", Text, nullable=True),
    Column("batch_size", Integer, nullable=True),
    Column("batch_seconds", Integer, nullable=True),
    # Only the newest event of a key runs: after so long without another, and so long after the first one.
    Column("latest_by", Text, nullable=True),
    Column("quiet_seconds", Integer, nullable=True),
    Column("at_most_seconds", Integer, nullable=True),
    # One active run of a key, what events do meanwhile, and which events cancel it.
    Column("one_at_a_time", Text, nullable=True),
    Column("when_busy", String(20), nullable=False, server_default="queue"),
    Column("cancel_on", Text, nullable=True),
    Index("idx_inbound_webhook_name", "name", unique=True),
    Index("idx_inbound_webhook_dag_id", "dag_id"),
    Index(
        "idx_inbound_webhook_listening",
        "listening_until",
        postgresql_where=text(LISTENING),
        sqlite_where=text(LISTENING),
    ),
    Index(
        "idx_inbound_webhook_source",
        "source",
        postgresql_where=text(ROUTE),
        sqlite_where=text(ROUTE),
    ),
)

token = Table(
    "inbound_webhook_token",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column(
        "webhook_id",
        String(10),
        ForeignKey("inbound_webhook.id", name="inbound_webhook_token_webhook_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("encrypted", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("last_used_at", UtcDateTime, nullable=True),
    Index("idx_inbound_webhook_token_webhook_id", "webhook_id"),
)

secret = Table(
    "inbound_webhook_secret",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column(
        "webhook_id",
        String(10),
        ForeignKey("inbound_webhook.id", name="inbound_webhook_secret_webhook_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("encrypted", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("last_used_at", UtcDateTime, nullable=True),
    # Which verification scheme or handshake uses it.
    Column("purpose", String(40), nullable=False, server_default=DEFAULT_PURPOSE),
    # Where a public key was fetched from; null for a secret that a user entered.
    Column("source_url", Text, nullable=True),
    # Reference in a definition file, such as connection:ID; null for a secret that a user typed.
    Column("reference", Text, nullable=True),
    Index("idx_inbound_webhook_secret_webhook_id", "webhook_id"),
)

# A delivery outlives its webhook, so it copies name and DAG and has no foreign key.
delivery = Table(
    "inbound_webhook_delivery",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("webhook_id", String(10), nullable=False),
    Column("webhook_name", String(WEBHOOK_NAME_CHARS), nullable=False),
    Column("dag_id", String(250), nullable=False),
    Column("state", String(16), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("source_ip", String(45), nullable=False),
    Column("query_string", Text, nullable=False),
    # JSON list of [name, value]; credentials are masked here and stored in "credentials".
    Column("headers", Text, nullable=False),
    Column("credentials", Text, nullable=True),
    # As received, with its Content-Encoding: signatures cover these bytes.
    Column("body", LargeBinary, nullable=False),
    Column("conf", Text, nullable=True),
    Column("response_status", Integer, nullable=False),
    Column("error", Text, nullable=True),
    Column("replay_of", String(32), nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=True),
    Column("run_id", String(250), nullable=True),
    Column("dispatched_at", UtcDateTime, nullable=True),
    Column("event_type", String(EVENT_TYPE_CHARS), nullable=True),
    # SHA-256 in hex of the deduplication expression's value; null where the delivery holds no key.
    Column("dedup_key", String(64), nullable=True),
    # The run's own times.
    Column("run_started_at", UtcDateTime, nullable=True),
    Column("finished_at", UtcDateTime, nullable=True),
    # JSON list of {"task_id", "map_index", "try_number"}; null where no failed task is known.
    Column("failed_tasks", Text, nullable=True),
    # False where the body was not kept ("body" is empty then).
    Column("body_stored", Boolean, nullable=False, server_default="1"),
    # Hash of the DAG's version whose params have accepted the conf; null where it was not checked.
    Column("checked_dag_hash", String(64), nullable=True),
    # Whether the response differs from the standard one and is kept in the table of responses; null where
    # that is not known.
    Column("custom_response", Boolean, nullable=True),
    # When the request was decided about and handed to the database; null where that is not known.
    Column("accepted_at", UtcDateTime, nullable=True),
    # The wait that it is the call of; null for a delivery of a webhook.
    Column("wait_id", String(32), nullable=True),
    # The webhook's asset then, null for a DAG, and the partition that the event is about.
    Column("asset", String(ASSET_CHARS), nullable=True),
    Column("partition_key", String(PARTITION_KEY_CHARS), nullable=True),
    # Airflow's asset event that was created for it.
    Column("asset_event_id", Integer, nullable=True),
    # True until waiting tasks were compared with it; null where there is nothing to compare.
    Column("to_match", Boolean, nullable=True),
    # Fields of its run; null for those that a run has anyway.
    Column("logical_date", UtcDateTime, nullable=True),
    Column("run_after", UtcDateTime, nullable=True),
    Column("note", Text, nullable=True),
    # The delivery that it was split from, which has the request; its number among the children of that, null
    # for a replay; and its place in a list.
    Column("parent_id", String(32), nullable=True),
    Column("child_index", Integer, nullable=True),
    Column("item_index", Integer, nullable=True),
    # Of a parent: JSON list, what became of each route.
    Column("routes", Text, nullable=True),
    # SHA-256 in hex of the key of its group; null for a delivery that is not grouped. One that is in turn and
    # has no conf starts nothing: it cancels what its key runs or waits for.
    Column("group_key", String(64), nullable=True),
    # The first delivery of its closed batch, which alone is due: the others have no next attempt.
    Column("batch_id", String(32), nullable=True),
    # The delivery that ran instead of it, and the one that cancelled it or its run.
    Column("superseded_by", String(32), nullable=True),
    Column("cancelled_by", String(32), nullable=True),
    # Queries repeat the predicates of these indexes word for word: storage/outcomes.py, storage/retention.py.
    Index(
        "idx_inbound_webhook_delivery_unfinished",
        "id",
        postgresql_where=text(UNFINISHED),
        sqlite_where=text(UNFINISHED),
    ),
    Index(
        "idx_inbound_webhook_delivery_finished",
        "finished_at",
        "id",
        postgresql_where=text(FINISHED),
        sqlite_where=text(FINISHED),
    ),
    Index(
        "idx_inbound_webhook_delivery_ended",
        "received_at",
        postgresql_where=text(ENDED),
        sqlite_where=text(ENDED),
    ),
    # Ids sort by time: newest deliveries, periods of time and states are read from this index alone.
    Index("idx_inbound_webhook_delivery_history", "webhook_id", "id", "state"),
    # Searches over all webhooks: storage/delivery_search.py. Partial, so that the endpoint's insert of an
    # accepted delivery writes none of them.
    Index(
        "idx_inbound_webhook_delivery_dag",
        "dag_id",
        "id",
        "state",
        postgresql_where=text(ENDED),
        sqlite_where=text(ENDED),
    ),
    Index(
        "idx_inbound_webhook_delivery_unusual",
        "state",
        "id",
        postgresql_where=text(UNUSUAL),
        sqlite_where=text(UNUSUAL),
    ),
    Index(
        "idx_inbound_webhook_delivery_event",
        "event_type",
        "id",
        postgresql_where=text(f"event_type IS NOT NULL AND {ENDED}"),
        sqlite_where=text(f"event_type IS NOT NULL AND {ENDED}"),
    ),
    # Partial, because replays are rare.
    Index(
        "idx_inbound_webhook_delivery_replay_of",
        "replay_of",
        postgresql_where=text("replay_of IS NOT NULL"),
        sqlite_where=text("replay_of IS NOT NULL"),
    ),
    Index(
        "idx_inbound_webhook_delivery_dedup",
        "webhook_id",
        "dedup_key",
        unique=True,
        postgresql_where=text("dedup_key IS NOT NULL"),
        sqlite_where=text("dedup_key IS NOT NULL"),
    ),
    # The dispatcher's path from webhook to webhook, and along one webhook's deliveries: storage/claims.py.
    Index(
        "idx_inbound_webhook_delivery_waiting",
        "webhook_id",
        "next_attempt_at",
        "id",
        postgresql_where=text(ACCEPTED),
        sqlite_where=text(ACCEPTED),
    ),
    Index(
        "idx_inbound_webhook_delivery_active",
        "webhook_id",
        postgresql_where=text(UNFINISHED),
        sqlite_where=text(UNFINISHED),
    ),
    # Deliveries that are not due, in their order of arrival.
    Index(
        "idx_inbound_webhook_delivery_not_due",
        "webhook_id",
        "id",
        postgresql_where=text(NOT_DUE),
        sqlite_where=text(NOT_DUE),
    ),
    # Calls that have not resumed their tasks yet: storage/waits.py.
    Index(
        "idx_inbound_webhook_delivery_called",
        "id",
        postgresql_where=text(CALLED),
        sqlite_where=text(CALLED),
    ),
    # Events that waiting tasks are still to be compared with: storage/matched_waits.py.
    Index(
        "idx_inbound_webhook_delivery_to_match",
        "webhook_id",
        "id",
        postgresql_where=text(TO_MATCH),
        sqlite_where=text(TO_MATCH),
    ),
    # The children of a delivery, in their order.
    Index(
        "idx_inbound_webhook_delivery_child",
        "parent_id",
        "child_index",
        postgresql_where=text(CHILD),
        sqlite_where=text(CHILD),
    ),
    # From group to group of a webhook, whether its key is busy, and the deliveries of a batch:
    # storage/groups.py.
    Index(
        "idx_inbound_webhook_delivery_grouped",
        "webhook_id",
        "state",
        "group_key",
        "id",
        postgresql_where=text(GROUPED),
        sqlite_where=text(GROUPED),
    ),
    Index(
        "idx_inbound_webhook_delivery_busy",
        "webhook_id",
        "group_key",
        "id",
        postgresql_where=text(BUSY),
        sqlite_where=text(BUSY),
    ),
    Index(
        "idx_inbound_webhook_delivery_batch",
        "batch_id",
        "id",
        postgresql_where=text(IN_BATCH),
        sqlite_where=text(IN_BATCH),
    ),
)

# A task that waits for a call. No foreign key: it outlives its run, and its call may be deleted before it.
wait = Table(
    "inbound_webhook_wait",
    metadata,
    # Of the task instance's try, in hex.
    Column("id", String(32), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    # SHA-256 in hex; the token itself is stored nowhere.
    Column("token_sha256", String(64), nullable=True),
    Column("dag_id", String(250), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deadline", UtcDateTime, nullable=False),
    # Expressions over the call's request: what the task gets, and what fails it.
    Column("result", Text, nullable=True),
    Column("fail_when", Text, nullable=True),
    # The call that counts.
    Column("delivery_id", String(32), nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    # Calls whose content could not be used, and why the last one could not.
    Column("refused_calls", Integer, nullable=False, server_default="0"),
    Column("refusal", Text, nullable=True),
    # The webhook whose event it is for, by id and as the task names it; null for a call.
    Column("webhook_id", String(WEBHOOK_ID_CHARS), nullable=True),
    Column("webhook_name", String(WEBHOOK_NAME_CHARS), nullable=True),
    # JSON lists, and a SHA-256 in hex of both together, or of the condition.
    Column("match_paths", Text, nullable=True),
    Column("match_values", Text, nullable=True),
    Column("match_key", String(64), nullable=True),
    Column("match_expression", Text, nullable=True),
    # Whether an event that it gets may resume other tasks too.
    Column("broadcast", Boolean, nullable=True),
    # Events since then count; true while those before the registration are to be looked at, else null.
    Column("counts_from", UtcDateTime, nullable=True),
    Column("look_back_due", Boolean, nullable=True),
    # What the event that it has got means for the task, and why the task is to fail without one.
    Column("outcome", Text, nullable=True),
    Column("failure", Text, nullable=True),
    Index(
        "idx_inbound_webhook_wait_waiting",
        "id",
        postgresql_where=text(WAITING),
        sqlite_where=text(WAITING),
    ),
    Index("idx_inbound_webhook_wait_run", "dag_id", "run_id", "task_id"),
    Index("idx_inbound_webhook_wait_ended_at", "ended_at"),
    Index(
        "idx_inbound_webhook_wait_matched",
        "webhook_id",
        "match_key",
        postgresql_where=text(MATCHED),
        sqlite_where=text(MATCHED),
    ),
    Index("idx_inbound_webhook_wait_taken", "id", postgresql_where=text(TAKEN), sqlite_where=text(TAKEN)),
    Index(
        "idx_inbound_webhook_wait_look_back",
        "webhook_id",
        postgresql_where=text(LOOKS_BACK),
        sqlite_where=text(LOOKS_BACK),
    ),
    # From a delivery to the tasks that it has resumed.
    Index(
        "idx_inbound_webhook_wait_delivery",
        "delivery_id",
        postgresql_where=text("delivery_id IS NOT NULL"),
        sqlite_where=text("delivery_id IS NOT NULL"),
    ),
)

# Written after the response was sent, so a row may be missing. It has no foreign key: ids sort by time, which
# is all that the retention needs.
response = Table(
    "inbound_webhook_response",
    metadata,
    # The id of its delivery.
    Column("id", String(32), primary_key=True),
    # JSON list of [name, value].
    Column("headers", Text, nullable=False),
    # The beginning of the body, and the size of the whole.
    Column("body", LargeBinary, nullable=False),
    Column("body_bytes", Integer, nullable=False),
    # Null where an older process kept it: the status is the delivery's.
    Column("status", Integer, nullable=True),
)

# What opens a result URL, of which a sender may have several: one for each response that did not wait any
# longer. Like the responses, the rows have no foreign key, because ids of deliveries sort by time.
result_token = Table(
    "inbound_webhook_result_token",
    metadata,
    Column("delivery_id", String(32), primary_key=True),
    # SHA-256 in hex: the token itself is never needed again.
    Column("token_hash", String(64), primary_key=True),
)

rejection = Table(
    "inbound_webhook_rejection",
    metadata,
    # SQLite counts up only a column of type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("webhook_id", String(10), nullable=False),
    Column("rejected_at", UtcDateTime, nullable=False),
    Column("source_ip", String(45), nullable=False),
    Column("method", String(20), nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    # URL of a public key that the request named and that is not stored.
    Column("key_url", Text, nullable=True),
    # Written when the webhook is deleted; until then they are those of its row.
    Column("webhook_name", String(WEBHOOK_NAME_CHARS), nullable=True),
    Column("dag_id", String(DAG_ID_CHARS), nullable=True),
    Index("idx_inbound_webhook_rejection_webhook_id", "webhook_id", "id"),
)

# Requests that came while a user listened; they are shown for minutes. Credentials are masked and not kept.
captured = Table(
    "inbound_webhook_captured",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column(
        "webhook_id",
        String(10),
        ForeignKey("inbound_webhook.id", name="inbound_webhook_captured_webhook_fkey", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("received_at", UtcDateTime, nullable=False),
    Column("source_ip", String(45), nullable=False),
    Column("method", String(20), nullable=False),
    # The status of the response, and why it is no success.
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=True),
    Column("query_string", Text, nullable=False),
    # JSON list of pairs
    Column("headers", Text, nullable=False),
    # As sent; null where it is longer than the limit, or bodies are not to be stored.
    Column("body", LargeBinary, nullable=True),
    Column("body_bytes", Integer, nullable=False),
    Index("idx_inbound_webhook_captured_webhook_id", "webhook_id", "id"),
)

# One message to one recipient. It outlives webhook and deliveries, so it copies names and has no foreign key.
mail = Table(
    "inbound_webhook_mail",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("webhook_id", String(10), nullable=False),
    Column("webhook_name", String(WEBHOOK_NAME_CHARS), nullable=False),
    # "success", "failure" or "drift"
    Column("kind", String(10), nullable=False),
    Column("recipient", String(EMAIL_ADDRESS_CHARS), nullable=False),
    Column("state", String(10), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Time of the first attempt.
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    # During an attempt: when another sender may claim the mail.
    Column("next_attempt_at", UtcDateTime, nullable=True),
    Column("sent_at", UtcDateTime, nullable=True),
    Column("error", Text, nullable=True),
    # JSON object: content of a mail that is not about deliveries.
    Column("facts", Text, nullable=True),
    Index(
        "idx_inbound_webhook_mail_waiting",
        "next_attempt_at",
        postgresql_where=text(WAITING),
        sqlite_where=text(WAITING),
    ),
    # The sender's path from webhook to webhook, kind by kind: storage/mails.py.
    Index(
        "idx_inbound_webhook_mail_turns",
        "kind",
        "webhook_id",
        "next_attempt_at",
        postgresql_where=text(WAITING),
        sqlite_where=text(WAITING),
    ),
    Index("idx_inbound_webhook_mail_webhook_id", "webhook_id", "kind", "due_at"),
    Index("idx_inbound_webhook_mail_created_at", "created_at"),
)

# The deliveries that a mail is about, with the outcome as it was when the mail was written.
mail_delivery = Table(
    "inbound_webhook_mail_delivery",
    metadata,
    Column(
        "mail_id",
        String(32),
        ForeignKey(
            "inbound_webhook_mail.id", name="inbound_webhook_mail_delivery_mail_fkey", ondelete="CASCADE"
        ),
        primary_key=True,
    ),
    Column("position", Integer, primary_key=True),
    Column("delivery_id", String(32), nullable=False),
    # JSON object: storage/mails.py.
    Column("outcome", Text, nullable=False),
    Index("idx_inbound_webhook_mail_delivery_delivery_id", "delivery_id"),
)

dispatcher = Table(
    "inbound_webhook_dispatcher",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(250), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

# A process that serves the endpoint and reports a problem; without a problem there is no row.
endpoint = Table(
    "inbound_webhook_endpoint",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(250), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    # JSON list of {"code", "message", "severity"}.
    Column("problems", Text, nullable=False),
)

# Result of the last check of a webhook's mapping against its DAG.
drift = Table(
    "inbound_webhook_drift",
    metadata,
    Column(
        "webhook_id",
        String(10),
        ForeignKey("inbound_webhook.id", name="inbound_webhook_drift_webhook_fkey", ondelete="CASCADE"),
        primary_key=True,
    ),
    # Empty while Airflow has not serialized the DAG.
    Column("dag_hash", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    # SHA-256 in hex of DAG id and mapping, and when they got these values.
    Column("mapping_hash", String(64), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    # JSON list of {"parameter", "message", "breaks"}.
    Column("problems", Text, nullable=False),
)

# A built-in role of Airflow's that was granted what the pages need of it: not again after it was revoked.
role_grant = Table(
    "inbound_webhook_role_grant",
    metadata,
    Column("role_name", String(64), primary_key=True),
    Column("granted_at", UtcDateTime, nullable=False),
)

# A replay of many deliveries. Its deliveries may be deleted before it, so it copies their DAGs.
replay_job = Table(
    "inbound_webhook_replay_job",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("actor", String(ACTOR_CHARS), nullable=False),
    # False for an operator with a shell, whose permissions are not checked.
    Column("is_checked", Boolean, nullable=False),
    # The user as the auth manager stores it in a token, encrypted; null when the job has ended.
    Column("claims", Text, nullable=True),
    # JSON list of [condition, value]; empty where the deliveries were selected one by one.
    Column("conditions", Text, nullable=False),
    Column("remap", Boolean, nullable=False),
    Column("total", Integer, nullable=False),
    # JSON list
    Column("dag_ids", Text, nullable=False),
    # When a dispatcher may claim it; during a batch, when another one may.
    Column("next_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=True),
    Index(
        "idx_inbound_webhook_replay_job_running",
        "next_at",
        postgresql_where=text(RUNNING),
        sqlite_where=text(RUNNING),
    ),
    Index("idx_inbound_webhook_replay_job_finished_at", "finished_at"),
)

# The key makes sure that a job replays a delivery once.
replay_item = Table(
    "inbound_webhook_replay_item",
    metadata,
    Column(
        "job_id",
        String(32),
        ForeignKey(
            "inbound_webhook_replay_job.id", name="inbound_webhook_replay_item_job_fkey", ondelete="CASCADE"
        ),
        primary_key=True,
    ),
    Column("delivery_id", String(32), primary_key=True),
    Column("webhook_id", String(WEBHOOK_ID_CHARS), nullable=False),
    Column("state", String(10), nullable=False),
    Column("replay_id", String(32), nullable=True),
    Column("reason", Text, nullable=True),
    Index(
        "idx_inbound_webhook_replay_item_waiting",
        "job_id",
        "delivery_id",
        postgresql_where=text(WAITING),
        sqlite_where=text(WAITING),
    ),
)

# Deliveries counted by the hour of their receipt, as storage/activity.py found them at the last count.
activity = Table(
    "inbound_webhook_activity",
    metadata,
    # Empty for all webhooks together. No foreign key: a count may meet the deletion of a webhook.
    Column("webhook_id", String(10), primary_key=True),
    # Hours since 1970.
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), primary_key=True),
    Column("count", Integer, nullable=False),
    # JSON objects, bucket -> number (records/activity.py): time until the run was created, and until its
    # first task started. Null where there is no such time.
    Column("to_run", Text, nullable=True),
    Column("to_task", Text, nullable=True),
    # The hour's sum, its unfinished deliveries, and what is too old: states are few, so each is a range.
    Index("idx_inbound_webhook_activity_state", "state", "hour", "webhook_id"),
)

# An hour that dispatchers count. Each count raises the version, so that of two at the same time one writes.
activity_hour = Table(
    "inbound_webhook_activity_hour",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    # How many of the planned counts after its end are done.
    Column("passes", Integer, nullable=False),
    # End of the last count; null where one is due because a webhook was deleted.
    Column("counted_at", UtcDateTime, nullable=True),
)

# When a webhook was put on hold, and when its next held delivery may go on.
hold = Table(
    "inbound_webhook_hold",
    metadata,
    # Empty for all webhooks together, those included that are created later. No foreign key: that is no id.
    Column("webhook_id", String(10), primary_key=True),
    Column("held_at", UtcDateTime, nullable=False),
    Column("actor", String(ACTOR_CHARS), nullable=False),
    Column("next_release_at", UtcDateTime, nullable=True),
)
