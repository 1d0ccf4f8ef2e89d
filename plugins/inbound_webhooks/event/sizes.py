"""Lengths that judge and tables share."""

EVENT_TYPE_CHARS = 200

MAX_CONF_ITEMS = 100_000
"""Values in a conf, unless set: Airflow's scheduler reads confs in its loop, and the process of each task
checks them again, at about 5 µs for a value."""

MAX_ITEMS_PER_REQUEST = 1_000
"""Items of a list that becomes deliveries, unless set."""

MAX_WAIT_SECONDS = 60
"""Longest wait of a response for its run: proxies and senders give up on later ones."""

PARTITION_KEY_CHARS = 250
"""The longest partition key in Airflow."""
MIN_BATCH_SIZE, MAX_BATCH_SIZE = 2, 1_000
"""Events of a batch."""

MAX_GROUP_SECONDS = 24 * 3_600
"""Longest time for which a batch stays open, and longest quiet period."""

MAX_AT_MOST_SECONDS = 7 * MAX_GROUP_SECONDS
"""Longest time for which newer events may put off the first one."""

QUEUE, SKIP, CANCEL_RUNNING = "queue", "skip", "cancel-running"
"""What an event does while a run of its key is active."""
