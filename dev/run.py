"""`make run`: starts a whole Airflow with the plugin on this machine and sends one webhook to it."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any, NoReturn

import example
from airflow_home import CHECKOUT, AirflowHome, InUseError
from rest import Rest, send
from services import ServiceDiedError, Services

START_SECONDS = 180
NEEDED_BYTES = 1_000_000_000
FULL_BYTES = 20_000_000
FULL_DISK = "the disk is full: free some space and run make again"
USER = "admin"
USER_ARGUMENTS = (
    *("--username", USER, "--role", "Admin", "--email", "admin@example.com"),
    *("--firstname", "Local", "--lastname", "Admin"),
)
PROCESSES = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1", "--port"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


class CannotStartError(Exception):
    """This machine prevents a start; the message is for the user."""


class StopRequested(Exception):
    """Ctrl-C or an equivalent signal."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report what would prevent a start")
    check_only = parser.parse_args().check
    try:
        home = AirflowHome(CHECKOUT / ".airflow", read_port())
        with home.locked():
            check_machine(home)
            return 0 if check_only else run(home)
    except CannotStartError as error:
        return complain(str(error))
    except InUseError:
        return complain("another `make run` uses .airflow/: stop it first")
    except OSError as error:
        return complain(explain(error))


def run(home: AirflowHome) -> int:
    """Run until a stop is requested; returns 0 if everything was up by then."""
    is_up = False
    services = Services(home.environment(), home.logs)
    listen_for_stop()
    try:
        webhook_url = start(services, home)
        is_up = True
        introduce(home, webhook_url)
        while True:
            services.check()
            time.sleep(0.5)
    except StopRequested:
        return 0 if is_up else 130
    except ServiceDiedError as error:
        return complain(FULL_DISK if free_bytes() < FULL_BYTES else str(error))
    finally:
        stop(services)


def start(services: Services, home: AirflowHome) -> str | None:
    """Start all processes; returns the URL of the example's webhook."""
    home.prepare()
    prepare_database(services, home)
    say(f"starting {', '.join(PROCESSES)}")
    for name, arguments in PROCESSES.items():
        port = [str(home.port)] if name == "api-server" else []
        services.start(name, *arguments, *port)
    webhook = existing_webhook(services)
    wait_until_healthy(services, home)
    return try_example(services, home, webhook)


def prepare_database(services: Services, home: AirflowHome) -> None:
    say("preparing the database in .airflow/")
    run_or_fail(services, "migrate", "db", "migrate")
    if home.user_marker.exists():
        return
    say(f"creating the user {USER}")
    # The command asks for the password twice; as an argument, it would be visible in the process list.
    passwords = f"{home.password()}\n" * 2
    run_or_fail(services, "create-user", "users", "create", *USER_ARGUMENTS, stdin=passwords)
    home.user_marker.touch()


def run_or_fail(services: Services, name: str, *arguments: str, stdin: str = "") -> None:
    status = services.run(name, *arguments, stdin=stdin)
    if status != 0:
        if free_bytes() < FULL_BYTES:
            raise CannotStartError(FULL_DISK)
        command = "airflow " + " ".join(arguments[:2])
        raise CannotStartError(f"`{command}` failed (status {status}), its log is {services.log(name)}")


def wait_until_healthy(services: Services, home: AirflowHome) -> None:
    say("waiting until Airflow is healthy (about half a minute)")
    give_up_at = time.monotonic() + START_SECONDS
    while not is_healthy(home):
        services.check()
        if time.monotonic() > give_up_at:
            raise CannotStartError(f"Airflow was not healthy after {START_SECONDS} s: see {home.logs}")
        time.sleep(0.5)


def is_healthy(home: AirflowHome) -> bool:
    try:
        response = send(f"{home.url}/api/v2/monitor/health")
    except OSError:
        return False
    parts = response.json() if response.status == 200 else {}
    return all(parts.get(part, {}).get("status") == "healthy" for part in ("scheduler", "dag_processor"))


def existing_webhook(services: Services) -> dict[str, Any] | None:
    status, output = services.ask("webhooks", "webhooks", "show", example.WEBHOOK, "-o", "json")
    return example.read_webhook(output) if status == 0 else None


def try_example(services: Services, home: AirflowHome, webhook: dict[str, Any] | None) -> str | None:
    """Run the example; Airflow stays up if it fails. Returns the webhook's URL."""
    try:
        rest = Rest.log_in(home.url, username=USER, password=home.password())
        example.wait_for_dag(rest, services.check)
        webhook = webhook or create_webhook(services)
        show_delivery(services, rest, webhook["url"])
    except (example.ExampleError, OSError) as error:
        say(f"the example failed: {error}")
    return webhook["url"] if webhook else None


def create_webhook(services: Services) -> dict[str, Any]:
    arguments = example.create_arguments()
    say(f"airflow {' '.join(arguments[:5])} …")
    status, output = services.ask("webhooks", *arguments)
    if status != 0:
        raise example.ExampleError(f"the webhook could not be created: see {services.log('webhooks')}")
    return example.read_webhook(output)


def show_delivery(services: Services, rest: Rest, webhook_url: str) -> None:
    say(f"POST {example.github_push().body_file.relative_to(CHECKOUT)} to the webhook")
    sent_at = time.monotonic()
    response = example.send_push(webhook_url)
    print(f"    {response.status} {response.body}")
    run_id = example.run_id_of(response)
    example.wait_for_run(rest, run_id, services.check)
    say(f"{run_id} succeeded {time.monotonic() - sent_at:.1f} s after the POST; its task printed")
    for line in example.printed_by_task(rest, run_id):
        print(f"    {line}")


def introduce(home: AirflowHome, webhook_url: str | None) -> None:
    print(f"\nAirflow   {home.url}\nuser      {USER}\npassword  {home.password()}")
    if webhook_url:
        print(f"webhook   {webhook_url}\n\nSend another:\n{example.curl_command(webhook_url)}")
    print("\nCtrl-C stops it; its data stays in .airflow/", flush=True)


def stop(services: Services) -> None:
    """End everything; further signals are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if services.running:
        say("stopping")
        services.stop()


def read_port() -> int:
    text = os.environ.get("PORT") or "8080"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStartError(f"PORT must be a number from 1 to 65535, not {text!r}")
    return int(text)


def check_machine(home: AirflowHome) -> None:
    if (free := free_bytes()) < NEEDED_BYTES:
        raise CannotStartError(f"the disk is full: {free // 1_000_000} MB are free, 1000 MB are needed")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", home.port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise CannotStartError(f"port {home.port} {reason}: try another, make run PORT=8081") from error


def free_bytes() -> int:
    return shutil.disk_usage(CHECKOUT).free


def explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return FULL_DISK
    return f"{error.strerror}: {error.filename}" if error.filename else str(error)


def listen_for_stop() -> None:
    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, request_stop)


def request_stop(number: int, frame: FrameType | None) -> NoReturn:
    raise StopRequested


def complain(message: str) -> int:
    print(f"==> {message}", file=sys.stderr, flush=True)
    return 1


def say(message: str) -> None:
    print(f"==> {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
