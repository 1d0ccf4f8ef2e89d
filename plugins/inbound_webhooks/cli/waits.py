"""The command about tasks that wait for a call or an event."""

from __future__ import annotations

from argparse import Namespace

from inbound_webhooks.cli.console import WRONG_CALL, actor, exit_with, handler, print_data


@handler
def waits_command(args: Namespace) -> None:
    """List waiting tasks, newest first, or show or resume one."""
    from inbound_webhooks.deliveries.seen_events import shown
    from inbound_webhooks.records.wait import WaitState
    from inbound_webhooks.webhooks import waits

    if args.wait_id is not None:
        if args.resume:
            waits.resume(None, args.wait_id, actor=actor())
        print_data(shown(None, args.wait_id), args.output)
        return
    if args.resume:
        exit_with(WRONG_CALL, "--resume needs a WAIT_ID.")
    if args.state is not None and args.state not in WaitState.ALL:
        exit_with(WRONG_CALL, f"--state must be one of {', '.join(WaitState.ALL)}.")
    if args.limit < 1:
        exit_with(WRONG_CALL, "--limit must be at least 1.")
    found, _ = waits.listed(None, state=args.state or "", limit=args.limit)
    print_data([waits.as_data(wait) for wait in found], args.output)
