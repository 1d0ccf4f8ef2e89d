"""Whether a series of samples is flat: what a process takes does not grow with what it has done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIB = 1024 * 1024
FEWEST_SAMPLES = 8


@dataclass(frozen=True)
class Slack:
    """What the last quarter may have more than the second one."""

    share: float
    amount: float

    def allowed(self, before: float) -> float:
        """The most that is still flat."""
        return before * (1 + self.share) + self.amount


SLACKS = {
    # Python's allocator gives memory back by the megabyte only. Of 250 MiB, over half of 90,000 requests,
    # this is 490 bytes a request: whatever is kept of each one is more.
    "memory": Slack(share=0.05, amount=8 * MIB),
    # Pools of threads and connections have a bound that they may reach late; a leak goes far beyond it.
    "threads": Slack(share=0, amount=4),
    "files": Slack(share=0, amount=6),
    "connections": Slack(share=0, amount=4),
}


def compared(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the second quarter and of the last one; the first one is the warm-up."""
    if len(values) < FEWEST_SAMPLES:
        raise ValueError(f"{len(values)} samples tell nothing, {FEWEST_SAMPLES} are needed")
    quarter = len(values) // 4
    return median(values[quarter : 2 * quarter]), median(values[-quarter:])


def is_flat(measure: str, values: Sequence[float]) -> bool:
    """Whether a series of this measure (a key of SLACKS) has not grown; less is always flat."""
    before, after = compared(values)
    return after <= SLACKS[measure].allowed(before)
