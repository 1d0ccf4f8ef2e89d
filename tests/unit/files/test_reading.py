"""What a definition file may look like, and how its problems are reported: file, line, webhook, field."""

from __future__ import annotations

from pathlib import Path

import pytest

from inbound_webhooks.files.reading import read_files

ONE = "webhooks:\n  - name: pushes\n    dag_id: build\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "hooks.yaml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in read_files([file]).problems]


def test_a_file_has_one_webhook_or_many(tmp_path):
    file = tmp_path / "hooks.yaml"
    file.write_text(f"{ONE}  - name: orders\n    dag_id: shop\n    secrets: {{signing: 'env:KEY'}}\n")
    found = read_files([file])
    assert found.problems == []
    assert [(entry.name, entry.line, entry.secrets) for entry in found.entries] == [
        ("pushes", 2, {}),
        ("orders", 4, {"signing": "env:KEY"}),
    ]


def test_of_a_folder_only_the_yaml_files_that_speak_of_webhooks_are_read(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yml").write_text(ONE)
    (tmp_path / "values.yaml").write_text("{{ not: yaml at all")
    (tmp_path / "dag.py").write_text("webhooks:")
    found = read_files([tmp_path])
    assert [entry.name for entry in found.entries] == ["pushes"]
    assert (found.problems, [path.name for path in found.skipped]) == ([], ["values.yaml"])


def test_what_two_webhooks_share_may_stand_in_an_anchor(tmp_path):
    file = tmp_path / "hooks.yaml"
    shared = "x-shared: &shared\n  dag_id: build\n  notify_failure: [a@example.com]\n"
    file.write_text(f"{shared}webhooks:\n  - name: one\n    <<: *shared\n    dag_id: other\n")
    (entry,) = read_files([file]).entries
    assert entry.fields == {"name": "one", "dag_id": "other", "notify_failure": ["a@example.com"]}


@pytest.mark.parametrize("value", ["*canary", "!canary x", "&canary &other x", "canary", "[canary]"])
def test_a_secret_that_stands_in_a_file_is_never_shown(tmp_path, value):
    (message,) = problems(tmp_path, f"{ONE}    secrets:\n      signing: {value}\n")
    assert message.startswith("hooks.yaml:5: ")
    assert "canary" not in message


@pytest.mark.parametrize(
    ("escape", "reason"),
    [("\\0", "it contains a NUL character"), ("\\ud800", "it contains a lone surrogate")],
)
def test_a_text_that_no_database_holds_is_reported_beside_its_field(tmp_path, escape, reason):
    line = f'    mapping: {{"a{escape}": b}}\n    filter: "{escape}"\n'
    messages = problems(tmp_path, ONE + line)
    assert [one.partition(", which")[0] for one in messages] == [
        f"hooks.yaml:4: pushes: mapping: {reason}",
        f"hooks.yaml:5: pushes: filter: {reason}",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- name: a\n", "hooks.yaml:1: expected a list of webhooks below webhooks:"),
        ("", "hooks.yaml:1: expected a list of webhooks below webhooks:"),
        ("webhooks: 3\n", "hooks.yaml:1: webhooks: it must be a list"),
        ("webhooks:\n  - 3\n", "hooks.yaml:2: webhooks: an item is not a mapping of fields"),
        (f"{ONE}webhook: 3\n", "hooks.yaml:4: webhook: only webhooks: may be at the top level"),
        ("webhooks:\n  - dag_id: a\n", "hooks.yaml:2: a webhook without a name: name: it is missing"),
        (f"{ONE}    filtr: x\n", "hooks.yaml:4: pushes: filtr: unknown field"),
        (f"{ONE}    proofs: []\n", "hooks.yaml:4: pushes: proofs is now `verification`"),
        (f"{ONE}    filter: 3\n", "hooks.yaml:4: pushes: filter: 3 is not of type 'string', 'null'"),
        (
            f"{ONE}    mapping:\n      a: x\n      b: 3\n",
            "hooks.yaml:4: pushes: mapping: b: 3 is not of type 'string'",
        ),
        (f"{ONE}    name: b\n", "hooks.yaml:4: duplicate key name"),
        (f"{ONE}    mapping: {{a: x, a: y}}\n", "hooks.yaml:4: duplicate key a"),
        (f"{ONE}    filter: [\n", "hooks.yaml:5: "),
        (f"{ONE}    filter: !!python/name:os.system\n", "hooks.yaml:4: could not determine a constructor"),
        (f"{ONE}    secrets: 3\n", "hooks.yaml:4: pushes: secrets: it must map purposes to references"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(tmp_path, text, message):
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(message)


def test_a_secret_that_stands_in_a_file_is_refused_and_not_repeated(tmp_path):
    (problem,) = problems(tmp_path, f"{ONE}    secrets:\n      signing: canary-of-the-secret\n")
    assert problem == (
        "hooks.yaml:5: pushes: secrets.signing: "
        "it must be connection:ID, variable:NAME or env:NAME, not the secret itself"
    )


def test_a_name_that_two_files_have_is_reported_with_both(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(ONE)
    (problem,) = read_files([tmp_path]).problems
    assert str(problem) == f"{tmp_path}/b.yaml:2: pushes: name: {tmp_path}/a.yaml:2 already defines this name"


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"webhooks: \xe4")
    missing, latin = read_files([tmp_path / "no.yaml", tmp_path / "latin.yaml"]).problems
    assert str(missing) == f"{tmp_path}/no.yaml: No such file or directory"
    assert str(latin) == f"{tmp_path}/latin.yaml: the file is not UTF-8 text"
