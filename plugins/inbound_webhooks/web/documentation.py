"""The documentation of this version as pages, for users of an installation without its repository."""

from __future__ import annotations

from flask import Response, abort
from flask_appbuilder import expose

from inbound_webhooks.web import documentation_text as texts
from inbound_webhooks.web.base_view import Page


class DocumentationView(Page):
    """What the help links lead to, unless docs_url says otherwise."""

    default_view = "contents"

    @expose("/help", methods=["GET"])
    def contents(self) -> Response:
        """The titles of all pages; 404 where the package was copied without them."""
        pages = [texts.read_page(name) for name in texts.CONTENTS if texts.has_page(name)]
        if not pages:
            abort(404)
        return self.show("documentation_contents.html", pages=pages)

    @expose("/help/<page>", methods=["GET"])
    def page(self, page: str) -> Response:
        """A page, or a picture of one."""
        if texts.has_page(page):
            return self.show("documentation.html", page=texts.read_page(page))
        found = texts.read_file(page)
        if found is None:
            abort(404)
        path, content_type = found
        return Response(path.read_bytes(), mimetype=content_type)
