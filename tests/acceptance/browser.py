"""A person in front of a real browser: Debian's Chromium, moved by Playwright."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.infrastructure.airflow_processes import ADMIN, PASSWORD, AirflowProcesses
from tests.infrastructure.environment import CHECKOUT

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WAIT_MILLISECONDS = 60_000
RUN_MILLISECONDS = 120_000
"""Until a run has ended."""

MOST_CLICKS, MOST_SECONDS = 12, 120
"""From the login to a succeeded run."""

# What a button says next; it says so for a moment only, which a slow machine may miss. Playwright waits for a
# promise without a limit of its own.
SAID_NEXT = """button => { button.said = new Promise(done => {
    new MutationObserver(() => done(button.textContent)).observe(button, {childList: true})
    setTimeout(() => done("nothing within 30 s"), 30_000) }) }"""
CLIPBOARD = """() => Promise.race([navigator.clipboard.readText(), new Promise(done =>
    setTimeout(() => done("no answer within 30 s"), 30_000))])"""

AXE = CHECKOUT / "tests" / "vendor" / "axe-core" / "axe.min.js"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser process without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """A user at a window.

    ``problems`` is what the pages complained about, ``began_at`` the monotonic time of the login, and
    ``clicks`` the number of calls of :meth:`click`.
    """

    def __init__(self, browser: Any, airflow: AirflowProcesses, *, width: int = 1280) -> None:
        self.airflow = airflow
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.set_default_timeout(WAIT_MILLISECONDS)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.clicks = 0
        self.began_at = 0.0
        self.page.on("pageerror", self._note_error)
        self.page.on("console", self._note)

    def _note_error(self, error: Any) -> None:
        # Airflow's own login page has faults of its own.
        if "pluginsv2" in (error.stack or ""):
            self.problems.append(str(error))

    def _note(self, message: Any) -> None:
        if message.type == "error" and ("Content Security" in message.text or "pluginsv2" in message.text):
            self.problems.append(message.text)

    def log_in(self, name: str = ADMIN) -> None:
        """Once, on Airflow's own page, where it asks."""
        self.began_at = time.monotonic()
        self.page.goto(f"{self.airflow.url}/")
        if self.airflow.auth == "fab":
            self.page.locator("input[name=username]").fill(name)
            self.page.locator("input[name=password]").fill(PASSWORD)
            self.click(self.page.locator("input[type=submit], button[type=submit]").first)
        self.page.get_by_role("heading", name="Welcome").wait_for()

    def click(self, place: Any) -> None:
        """Click, and count it."""
        self.clicks += 1
        place.click()

    def open(self, path: str) -> Any:
        """A page of Airflow's; what is in its frame, where there is one."""
        self.page.goto(f"{self.airflow.url}/{path.lstrip('/')}")
        return self.frame

    @property
    def frame(self) -> Any:
        """Our page inside Airflow's."""
        return self.page.frame_locator("iframe")

    def close(self) -> None:
        self.context.close()


def wait_for_scripts(frame: Any) -> None:
    """What the server has rendered is there before the scripts are."""
    from playwright.sync_api import Error

    is_loaded = """() => document.readyState === "complete"
        || new Promise(done => addEventListener("load", done, {once: true}))"""
    try:
        frame.locator("html.with-script").evaluate(is_loaded)
    except Error:
        # It was the page that a click is about to leave.
        frame.locator("html.with-script").evaluate(is_loaded)


def open_section(page: Any, name: str) -> None:
    """Go to a section of the form, which opens it where it is folded."""
    page.get_by_role("navigation", name="Sections of the form").get_by_role("link", name=name).click()


def create_on_tab(person: Person, dag_id: str, name: str) -> str:
    """Make a webhook on the DAG's own tab; returns its URL."""
    frame = person.open(f"dags/{dag_id}/plugin/webhooks-of-dag")
    frame.get_by_role("link", name="Add trigger").click()
    assert frame.locator("#dag_id").input_value() == dag_id
    frame.locator("#name").fill(name)
    frame.get_by_role("button", name="Create webhook").click()
    frame.locator("#url").wait_for()
    wait_for_scripts(frame)
    return str(frame.locator("#url").input_value())


def curl(url: str, body: str) -> str:
    """Send JSON from a terminal; returns the body of the response."""
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", url, "-H", "Content-Type: application/json", "--data", body],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def our_frame(page: Any) -> Any:
    """Our page, inside of Airflow's or alone, for scripts."""
    # Airflow's address has the path of its frame too; the frame comes after it.
    return [frame for frame in page.frames if "/pluginsv2/webhooks" in frame.url][-1]


def axe_problems(page: Any) -> list[str]:
    """What axe-core finds on our page that is serious."""
    frame = our_frame(page)
    frame.evaluate(AXE.read_text() + "; void 0")
    results = frame.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{problem['id']}: {node['html'][:200]} {node['any'][0]['message'] if node['any'] else ''}"
        for problem in results["violations"]
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"]
    ]
