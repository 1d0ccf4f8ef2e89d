"""The pages of this process in a real browser, inside a frame with the restrictions of Airflow's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.acceptance.browser import chromium
from tests.integration.web.site import Site

WAIT_MILLISECONDS = 20_000
SANDBOX = "allow-scripts allow-same-origin allow-forms allow-downloads"
"""As Airflow 3.3 has it: no dialogs of the browser, and no way to navigate the window around the frame."""

SHELL = """<!doctype html><title>Airflow</title><body style="margin:0">
<a id="side-bar" href="/dags" hidden>Dags</a>
<iframe style="border:0;width:100vw;height:100vh" sandbox="{sandbox}" src="{path}"></iframe>
<script>
  // As Airflow's router: the frame goes, the window stays.
  let left = 0;
  document.body.addEventListener("click", (event) => {{
    event.preventDefault();
    document.querySelector("iframe")?.remove();
    left += 1;
    document.title = "Left " + left;
  }});
</script>"""


@Request.application
def _shell(request: Any) -> Response:
    if request.path != "/shell":
        return Response("", 404)
    page = SHELL.format(sandbox=SANDBOX, path=f"/pluginsv2/webhooks{request.args['path']}")
    return Response(page, mimetype="text/html")


def _whole(app: Any) -> Any:
    """The application with whole responses: a browser that leaves a page drops requests for its files, which
    the server would leave open."""

    def respond(environ: Any, start_response: Any) -> Any:
        return Response.from_app(app, environ, buffered=True)(environ, start_response)

    return respond


class Window:
    """A user's window; ``problems`` is what the pages complained about."""

    def __init__(self, browser: Any, url: str, token: str, *, width: int = 1280) -> None:
        self._url = url
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.set_default_timeout(WAIT_MILLISECONDS)
        self.context.add_cookies([{"name": "_token", "value": token, "url": url}])
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type == "error" and "Content Security" in message.text:
            self.problems.append(message.text)

    def open(self, path: str) -> Any:
        """A page of ours in its frame."""
        self.page.goto(f"{self._url}/shell?path={path.replace('&', '%26')}")
        self.frame.locator("html.with-script").wait_for()
        return self.frame

    @property
    def frame(self) -> Any:
        return self.page.frame_locator("iframe")


@contextmanager
def windows(site: Site) -> Iterator[Any]:
    """A function that opens a window of a user: ``open_window(name, width=…)``."""
    server = make_server(
        "127.0.0.1", 0, DispatcherMiddleware(_shell, {"/pluginsv2": _whole(site.app)}), threaded=True
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with chromium() as browser:

            def open_window(name: str = "ada", *, role: str = "Admin", width: int = 1280) -> Window:
                with site.app.app_context():
                    token = site.manager.generate_jwt(site.user(name, role))
                return Window(browser, f"http://127.0.0.1:{server.server_port}", token, width=width)

            yield open_window
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
