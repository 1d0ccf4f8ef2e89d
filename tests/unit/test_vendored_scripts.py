"""The libraries of the pages are the published ones, unchanged, with their licences."""

from __future__ import annotations

import hashlib
import json
import re
from html import unescape

from tests.infrastructure.environment import CHECKOUT

WEB = CHECKOUT / "plugins" / "inbound_webhooks" / "web"
VENDOR = WEB / "static" / "vendor"
ROW = re.compile(r"^\| `([^`]+)` \| .* \| `([0-9a-f]{64})` \| `([^`]+)`", re.MULTILINE)


def listed() -> dict[str, tuple[str, str]]:
    found = ROW.findall((VENDOR / "README.md").read_text())
    return {name: (checksum, licence) for name, checksum, licence in found}


def test_each_library_is_the_published_file_and_has_its_licence():
    assert sorted(listed()) == sorted(path.name for path in VENDOR.glob("*.js"))
    for name, (checksum, licence) in listed().items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum
        assert "permission to use" in (VENDOR / licence).read_text().lower()


def test_htmx_may_not_evaluate_text_or_leave_the_site():
    page = (WEB / "templates" / "inbound_webhooks" / "base.html").read_text()
    found = re.search(r"<meta name=\"htmx-config\" content='([^']+)'>", page)
    assert found
    config = json.loads(unescape(found[1]))
    assert config["allowEval"] is False
    assert config["includeIndicatorStyles"] is False
    assert config["selfRequestsOnly"] is True
    assert config["allowScriptTags"] is False
