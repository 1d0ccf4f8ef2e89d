"""``python -m inbound_webhooks …``: the same commands where only the plugins folder was copied.

Airflow learns of ``airflow webhooks`` from installed packages alone. This program also keeps standard output
free of what Airflow logs there while it starts, which no plugin can prevent in ``airflow webhooks``.
"""

from __future__ import annotations

import argparse

from inbound_webhooks.cli.standard_output import STANDARD_OUTPUT


def main() -> None:
    """Parse the command line and run one command."""
    # Before the first import of Airflow: it configures logging to standard output, and warns there.
    STANDARD_OUTPUT.claim()
    from airflow.configuration import write_default_airflow_configuration_if_needed

    from inbound_webhooks.cli.parser import COMMANDS

    parser = argparse.ArgumentParser(prog="python -m inbound_webhooks", description="Manage inbound webhooks")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.args:
            argument.add_to_parser(subparser)
        subparser.set_defaults(func=command.func)
    with STANDARD_OUTPUT.released():  # argparse prints help texts
        args = parser.parse_args()
    write_default_airflow_configuration_if_needed()
    args.func(args)


if __name__ == "__main__":
    main()
