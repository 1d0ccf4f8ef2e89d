"""``python -m inbound_webhooks …``: the same commands where only the plugins folder was copied.

Airflow learns of ``airflow webhooks`` from installed packages alone.
"""

from __future__ import annotations

import argparse

from airflow.configuration import write_default_airflow_configuration_if_needed

from inbound_webhooks.cli.parser import COMMANDS


def main() -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog="python -m inbound_webhooks", description="Manage inbound webhooks")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.args:
            argument.add_to_parser(subparser)
        subparser.set_defaults(func=command.func)
    args = parser.parse_args()
    write_default_airflow_configuration_if_needed()
    args.func(args)


if __name__ == "__main__":
    main()
