"""What one sender or editor, A, does to all others: each attack is a class, bounded in count and time."""

from __future__ import annotations

from benchmarks.attacks import confs, connections, editors, storage, templates
from benchmarks.attacks.stage import Attack

ATTACKS: dict[str, type[Attack]] = {
    attack.__name__: attack
    for attack in (
        confs.SlowPattern,
        confs.LookingAhead,
        confs.LongArrays,
        storage.Deletion,
        storage.LockedRow,
        storage.RepeatedEvent,
        templates.QueryLength,
        templates.ToJson,
        templates.Recompilation,
        connections.SlowBodies,
        connections.SilentConnections,
        storage.UselessBodies,
        editors.SuccessMails,
        editors.BackTests,
    )
}
"""By the names of their classes, in the order of the table."""

MIXTURE = "mixture"
"""Names all of them at the same time."""
