"""The commands that put webhooks on hold and release them."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from inbound_webhooks.cli.console import WRONG_CALL, actor, exit_with, handler, print_text

if TYPE_CHECKING:
    from inbound_webhooks.webhooks.hold import HeldAll


@handler
def hold_command(args: Namespace) -> None:
    """Put webhooks on hold."""
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import hold, service

    _check_names(args)
    if args.all:
        done = hold.hold_all(actor=actor())
        print_text(f"All webhooks are on hold, {_number(done)} more than before; new ones will be too.")
        return
    for webhook in [service.get(name) for name in args.names]:
        hold.hold(ById(webhook.id), actor=actor())
        print_text(f"{webhook.name} is on hold.")


@handler
def release_command(args: Namespace) -> None:
    """End the hold of webhooks."""
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import hold, service

    _check_names(args)
    pace = hold.Pace(per_minute=args.per_minute, window=args.window)
    if args.all:
        done = hold.release_all(actor=actor(), pace=pace)
        print_text(" ".join([f"Released {_number(done)}.", *done.sentences]))
        return
    pace.check()
    for webhook in [service.get(name) for name in args.names]:
        hold.release(ById(webhook.id), actor=actor(), pace=pace)
        print_text(f"Released {webhook.name}.")


def _check_names(args: Namespace) -> None:
    if bool(args.names) == args.all:
        exit_with(WRONG_CALL, "Give either names of webhooks or --all.")


def _number(done: HeldAll) -> str:
    return "1 webhook" if done.changed == 1 else f"{done.changed:,} webhooks"
