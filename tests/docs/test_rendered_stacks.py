"""docs/rendered: what the programs register now, readable, without a secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from etl_local.engine import DeploymentError
from etl_local.rendering.__main__ import RENDERED, RevisionError, committed, main
from etl_local.rendering.recorded_stack import (
    REPOSITORY,
    SYNTHETIC_SECRET,
    configuration,
    rendered_names,
    stack_names,
)
from etl_local.rendering.stack_document import SECRET, Document, stack_text

COMMAND = "make preview-offline"


def strings(value: Any) -> list[str]:
    """Every text of a document, keys too."""
    match value:
        case dict():
            return [text for key, item in value.items() for text in (*strings(key), *strings(item))]
        case list():
            return [text for item in value for text in strings(item)]
        case _:
            return [str(value)]


def test_each_stack_of_the_project_is_rendered(documents: dict[str, Document]) -> None:
    assert rendered_names() == ["dev", "prod", "sbx", "everything"]
    assert sorted(path.stem for path in RENDERED.glob("*.yaml")) == sorted(rendered_names()) == sorted(documents)


@pytest.mark.parametrize("stack", rendered_names())
def test_the_rendering_is_what_the_program_registers(stack: str, documents: dict[str, Document]) -> None:
    path = RENDERED / f"{stack}.yaml"
    assert path.read_text(encoding="utf-8") == stack_text(documents[stack]), f"{path} is stale: run `{COMMAND}`"


def test_a_rendering_can_be_read_back_as_it_was(documents: dict[str, Document]) -> None:
    assert yaml.safe_load(stack_text(documents["sbx"])) == documents["sbx"]


def test_another_process_renders_the_same_text(documents: dict[str, Document]) -> None:
    code = (
        "from etl_local.rendering.recorded_stack import record\n"
        "from etl_local.rendering.stack_document import stack_document, stack_text\n"
        "print(stack_text(stack_document(record('sbx'))), end='')\n"
    )
    paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "containers")))
    environment = {"PATH": os.defpath, "PYTHONPATH": paths, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == stack_text(documents["sbx"])


def test_no_secret_is_written_whether_encrypted_or_made_up(documents: dict[str, Document]) -> None:
    encrypted = [
        value["secure"]
        for stack in stack_names()
        for value in yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"].values()
        if isinstance(value, dict) and "secure" in value
    ]
    assert encrypted, "a stack has a secret, or this test says nothing"
    assert SYNTHETIC_SECRET in configuration("prod").values()
    for document in documents.values():
        assert not [text for text in strings(document) if SYNTHETIC_SECRET in text or text in encrypted]
    salt = documents["prod"]["resources"]["transform / transform-salt-value"]["inputs"]
    assert salt["secretString"] == SECRET


def test_policies_machines_and_containers_are_structures_not_text(documents: dict[str, Document]) -> None:
    for document in documents.values():
        assert not [text for text in strings(document["resources"]) if text.startswith(('{"', "[{"))]
    resources = documents["prod"]["resources"].values()
    machine = next(resource for resource in resources if resource["type"].endswith(":StateMachine"))
    assert machine["inputs"]["definition"]["States"]


def test_the_job_template_is_shown_whole_and_the_rules_by_their_digest(documents: dict[str, Document]) -> None:
    contents = {
        name: content
        for resource in documents["prod"]["resources"].values()
        if resource["type"] == "kubernetes:core/v1:ConfigMap"
        for name, content in resource["inputs"]["data"].items()
    }
    assert contents["job.yaml"]["kind"] == "Job"
    assert contents["columns.yaml"].startswith("sha256:")


def test_what_holds_data_is_marked_as_protected_in_production_alone(documents: dict[str, Document]) -> None:
    protected = {
        stack: [place for place, resource in document["resources"].items() if resource.get("protect")]
        for stack, document in documents.items()
    }
    assert "extract / extract-bucket / extract-bucket-bucket" in protected["prod"]
    assert protected["dev"] == protected["sbx"] == []


def test_the_command_says_which_stacks_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nowhere"])
    assert ended.value.code == 2
    assert "no such stack: nowhere (there are dev, prod, sbx, everything)" in capsys.readouterr().err


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that has the rendering of sbx in its only commit, in place of this one."""
    rendered = tmp_path / "docs" / "rendered"
    rendered.mkdir(parents=True)
    (rendered / "sbx.yaml").write_text((RENDERED / "sbx.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    name = ("-c", "user.name=someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "--quiet"), ("add", "."), (*name, "commit", "--quiet", "--message", "rendered")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607
    monkeypatch.setattr("etl_local.rendering.__main__.REPOSITORY", tmp_path)
    monkeypatch.setattr("etl_local.rendering.__main__.RENDERED", rendered)
    return tmp_path


def test_a_stack_that_differs_from_the_commit_fails_the_check_and_is_left_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "docs" / "rendered" / "sbx.yaml"
    before = path.read_text(encoding="utf-8")
    assert main(["sbx", "--check"]) == 0
    assert "sbx: nothing changed" in capsys.readouterr().out
    config = {**configuration("sbx"), "postgres-etl:cleanRetentionDays": "9"}
    monkeypatch.setattr("etl_local.rendering.recorded_stack.configuration", lambda _: config)
    assert main(["sbx", "--check"]) == 1
    assert "rules[expire-dumps].expiration.days: 30 → 9" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == before
    assert main(["sbx"]) == 0, "a difference is what a preview is for"
    assert path.read_text(encoding="utf-8") != before


def test_a_program_that_refuses_its_configuration_is_one_line_and_another_exit_code(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {**configuration("sbx"), "postgres-etl:loadCpu": "7"}
    monkeypatch.setattr("etl_local.rendering.recorded_stack.configuration", lambda _: config)
    assert main(["sbx", "--check"]) == 2
    assert "Pulumi.sbx.yaml: postgres-etl:loadCpu must be one of" in capsys.readouterr().err
    assert repository.is_dir()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "Pulumi.dev.yaml cannot be read: No such file or directory"),
        ("config:\n  a: [\n", "Pulumi.dev.yaml:3: not YAML: expected the node content, but found '<stream end>'"),
        ("", "Pulumi.dev.yaml has no config: it is a mapping of keys such as postgres-etl:awsRegion"),
        ("config: x", "Pulumi.dev.yaml has no config: it is a mapping of keys such as postgres-etl:awsRegion"),
    ],
)
def test_a_file_that_is_no_stack_s_is_one_clear_error(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(DeploymentError) as refused:
        configuration("dev", tmp_path)
    assert str(refused.value) == told


def test_a_stack_that_was_not_rendered_yet_differs(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("etl_local.rendering.__main__.committed", lambda *_: None)
    assert main(["sbx", "--check"]) == 1
    assert re.fullmatch(r"sbx: \d+ resources, not rendered at HEAD\n", capsys.readouterr().out)
    assert repository.is_dir()


def test_a_commit_without_a_rendering_has_none_and_no_commit_is_an_error(repository: Path) -> None:
    assert committed("HEAD", repository / "docs" / "rendered" / "dev.yaml") is None
    with pytest.raises(RevisionError, match="nowhere"):
        committed("nowhere", repository / "docs" / "rendered" / "sbx.yaml")
