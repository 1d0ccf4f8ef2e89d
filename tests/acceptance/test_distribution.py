"""What `make dist` builds: no file forgotten, none too many, and all that an index shows of it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from inbound_webhooks import __version__
from tests.acceptance.environments import Distribution
from tests.infrastructure.environment import CHECKOUT

ABOUT = f"airflow_inbound_webhooks-{__version__}.dist-info"
DOCS = "inbound_webhooks/web/docs"
"""In git a link to the documentation."""

FILES_ABOUT = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


@pytest.fixture(scope="module")
def metadata(distribution: Distribution) -> Message:
    return message_from_bytes(content_of(distribution.wheel)[f"{ABOUT}/METADATA"])


def content_of(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked(folder: str) -> set[str]:
    """What git has below a folder, seen from there."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT / folder, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.splitlines())


def test_the_wheel_has_what_git_tracks_of_the_package_and_nothing_else(distribution):
    package = {f"inbound_webhooks/{name}" for name in tracked("plugins/inbound_webhooks")} - {DOCS}
    docs = {f"{DOCS}/{name}" for name in tracked("docs")}
    assert set(content_of(distribution.wheel)) == package | docs | {f"{ABOUT}/{name}" for name in FILES_ABOUT}


def test_the_sdist_builds_the_same_wheel(distribution, tmp_path):
    with tarfile.open(distribution.sdist) as archive:
        archive.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    uv = str(Path(sys.executable).parent / "uv")
    constraints = ("--build-constraints", str(source / "constraints.txt"))
    command = (
        uv,
        "build",
        "--quiet",
        "--wheel",
        *constraints,
        "--out-dir",
        str(tmp_path / "again"),
        str(source),
    )
    subprocess.run(command, check=True)
    (wheel,) = (tmp_path / "again").glob("*.whl")
    assert content_of(wheel) == content_of(distribution.wheel)


def test_the_sdist_has_no_half_of_the_tests(distribution):
    with tarfile.open(distribution.sdist) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert folders >= {"plugins", "docs", "LICENSE", "README.md", "CHANGELOG.md"}
    assert "tests" not in folders


def test_the_metadata_name_version_licence_and_the_whole_readme(metadata):
    assert (metadata["Name"], metadata["Version"]) == ("airflow-inbound-webhooks", __version__)
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).decode() == (CHECKOUT / "README.md").read_text()


def test_the_version_stands_in_one_place():
    places = subprocess.run(
        ["git", "grep", "-lE", "version__ = |^version = \\d", "--", "plugins", "setup.cfg", "pyproject.toml"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert places.stdout.splitlines() == ["plugins/inbound_webhooks/__init__.py"]
