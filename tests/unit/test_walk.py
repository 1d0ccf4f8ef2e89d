"""The walk through the pages: thirty tasks, each on a page that exists, with places for its marks."""

from __future__ import annotations

from pathlib import Path

from tests.integration.web.route_table import PAGES

WALK = Path(__file__).parents[1] / "acceptance" / "walk.md"
ROLES = {"Admin", "Op", "User", "Viewer"}
MARKS = {"", *map(str, range(1, 11))}


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the table below a heading, by the names of its columns."""
    section = WALK.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.split("\n")
        if line[:1] == "|"
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_there_are_thirty_tasks_in_order():
    assert [task["#"] for task in table("Tasks")] == [str(number) for number in range(1, 31)]


def test_each_task_says_who_wants_what_and_how_success_shows():
    for task in table("Tasks"):
        assert task["who"] in ROLES, task
        assert all((task["wants"], task["has worked when"])), task
        assert 1 <= int(task["clicks"]) <= 12, task
        assert task["mark"] in MARKS, task


def test_each_task_starts_at_a_page_that_exists_and_each_page_has_tasks():
    pages = {page["page"]: page["route"].strip("`") for page in table("Pages")}
    assert {("GET", route) for route in pages.values()} <= set(PAGES)
    assert {task["starts at"] for task in table("Tasks")} == set(pages)
    assert {page["mark"] for page in table("Pages")} <= MARKS
