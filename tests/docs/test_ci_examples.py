"""The CI examples: every stack previewed on a pull request, updated on merge, prod only once it is approved."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from etl_local.rendering.recorded_stack import REPOSITORY, configuration, stack_names

CI = REPOSITORY / "docs" / "ci"
JENKINSFILE = (CI / "Jenkinsfile.preview").read_text(encoding="utf-8")
STACKS = set(stack_names())


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    return yaml.safe_load((CI / "github-actions.yml").read_text(encoding="utf-8"))


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job["steps"]


def pulumi_step(job: dict[str, Any]) -> dict[str, Any]:
    (step,) = [step["with"] for step in steps(job) if step.get("uses", "").startswith("pulumi/actions@")]
    return step


def test_a_pull_request_previews_every_stack_and_posts_the_difference(workflow: dict[Any, Any]) -> None:
    preview = workflow["jobs"]["preview"]
    assert "github.event_name == 'pull_request'" in preview["if"]
    assert set(preview["strategy"]["matrix"]["stack"]) == STACKS
    given = pulumi_step(preview)
    assert (given["command"], given["diff"], given["comment-on-pr"]) == ("preview", True, True)
    assert given["stack-name"] == "${{ matrix.stack }}"


def test_a_fork_never_runs_with_credentials(workflow: dict[Any, Any]) -> None:
    assert "head.repo.full_name == github.repository" in workflow["jobs"]["preview"]["if"]
    assert "id-token" not in workflow["jobs"]["offline"]["permissions"]
    assert "pull_request_target" not in workflow[True], "YAML 1.1 reads the key `on` as true"


def test_a_merge_updates_every_stack_in_order_and_prod_in_an_environment_of_its_own(workflow: dict[Any, Any]) -> None:
    jobs = workflow["jobs"]
    assert workflow[True]["push"]["branches"] == ["main"]
    assert "github.event_name == 'push'" in jobs["up-dev"]["if"]
    assert (jobs["up-sbx"]["needs"], jobs["up-prod"]["needs"]) == ("up-dev", "up-sbx")
    updates = {name.removeprefix("up-"): job for name, job in jobs.items() if name.startswith("up-")}
    assert set(updates) == STACKS
    for stack, job in updates.items():
        assert job["environment"] == stack
        assert (pulumi_step(job)["command"], pulumi_step(job)["stack-name"]) == ("up", stack)
    assert "preview" not in jobs["up-prod"]["environment"]


def test_roles_are_assumed_by_a_token_and_no_key_is_kept(workflow: dict[Any, Any]) -> None:
    for name, job in workflow["jobs"].items():
        credentials = [step for step in steps(job) if "configure-aws-credentials" in step.get("uses", "")]
        assert len(credentials) == (0 if name == "offline" else 1), name
        assert (job["permissions"].get("id-token") == "write") == bool(credentials), name
    text = (CI / "github-actions.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "aws-access-key-id" not in text


@pytest.mark.parametrize("name", ["github-actions.yml", "images.yml"])
def test_every_action_is_pinned_by_its_commit_with_the_tag_beside_it(name: str) -> None:
    text = (CI / name).read_text(encoding="utf-8")
    used = re.findall(r"uses: (.+)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_no_shell_line_is_put_together_from_a_pull_request(workflow: dict[Any, Any]) -> None:
    for job in workflow["jobs"].values():
        assert not [step["run"] for step in steps(job) if "${{" in step.get("run", "")]
    shell = re.findall(r"\bsh\(?[^\n]*", JENKINSFILE)
    assert len(shell) >= 5
    assert not [line for line in shell if re.search(r"script: \"|sh \"", line)]


def test_without_credentials_the_offline_preview_still_runs(workflow: dict[Any, Any]) -> None:
    runs = "\n".join(step.get("run", "") for step in steps(workflow["jobs"]["offline"]))
    for text in (runs, JENKINSFILE):
        assert "make --silent preview-offline AGAINST=" in text
        assert "git diff --exit-code --stat docs/rendered" in text


def test_the_scrub_rules_are_checked_on_a_pull_request(workflow: dict[Any, Any]) -> None:
    runs = [step.get("run", "") for step in steps(workflow["jobs"]["offline"])]
    assert ".venv/bin/postgres-etl rules check --format github" in runs
    stage = JENKINSFILE.partition("stage('Without credentials')")[2].partition("stage('Preview')")[0]
    assert "script: '.venv/bin/postgres-etl rules check'" in stage


def test_jenkins_previews_every_stack_on_a_pull_request_and_posts_it() -> None:
    stage = JENKINSFILE.partition("stage('Preview')")[2].partition("stage('Update dev')")[0]
    assert "changeRequest()" in stage
    (stacks,) = re.findall(r"for \(String stack in \[(.*?)\]\)", stage)
    assert set(re.findall(r"'(\w+)'", stacks)) == STACKS
    assert "comment(" in stage
    assert "pulumi preview --stack" in stage
    assert "--diff" in stage


def test_jenkins_updates_each_stack_on_main_and_prod_after_an_approval() -> None:
    stages = re.findall(r"stage\('(Update|Approve) (\w+)'\)", JENKINSFILE)
    assert stages == [("Update", "dev"), ("Update", "sbx"), ("Approve", "prod"), ("Update", "prod")]
    assert JENKINSFILE.count("when { branch 'main' }") == len(stages)
    approval = JENKINSFILE.partition("stage('Approve prod')")[2].partition("stage('Update prod')")[0]
    assert "input message:" in approval
    assert "submitter:" in approval


def test_jenkins_goes_to_the_accounts_that_the_stacks_are_configured_for() -> None:
    (accounts,) = re.findall(r"ACCOUNTS = \[(.*?)\]", JENKINSFILE)
    assert dict(re.findall(r"(\w+): '(\d{12})'", accounts)) == {
        stack: configuration(stack)["postgres-etl:awsAccountId"] for stack in STACKS
    }


def test_the_jenkinsfile_closes_what_it_opens() -> None:
    code = re.sub(r"//[^\n]*|/\*.*?\*/|'[^'\n]*'|\"[^\"\n]*\"", "", JENKINSFILE, flags=re.DOTALL)
    for opening, closing in ("{}", "()", "[]"):
        assert code.count(opening) == code.count(closing)


# --- images.yml


@pytest.fixture(scope="module")
def images() -> dict[Any, Any]:
    return yaml.safe_load((CI / "images.yml").read_text(encoding="utf-8"))


def test_images_are_built_scanned_signed_and_pushed_in_every_account_and_in_that_order(images: dict[Any, Any]) -> None:
    push = images["jobs"]["push"]
    assert set(push["strategy"]["matrix"]["stack"]) == STACKS
    assert push["environment"] == "images-${{ matrix.stack }}"
    shell = "\n".join(step.get("run", "") for step in steps(push))
    order = ["make images", "docker push", "image-scan-complete", "jq --exit-status", "cosign sign", "cosign attest"]
    places = [shell.index(word) for word in order]
    assert places == sorted(places)
    assert "dispatcher migrator transform" in shell


def test_no_shell_line_of_the_images_is_put_together_from_an_expression(images: dict[Any, Any]) -> None:
    for job in images["jobs"].values():
        assert not [step["run"] for step in steps(job) if "${{" in step.get("run", "")]


def test_only_the_job_that_pushes_has_a_token_and_only_the_one_that_pins_may_write(images: dict[Any, Any]) -> None:
    assert images["permissions"] == {"contents": "read"}
    assert images["jobs"]["push"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert images["jobs"]["pin"]["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert "secrets." not in (CI / "images.yml").read_text(encoding="utf-8")
    assert images[True]["push"]["branches"] == ["main"]


def test_new_digests_come_by_a_pull_request_with_what_they_change(images: dict[Any, Any]) -> None:
    shell = "\n".join(step.get("run", "") for step in steps(images["jobs"]["pin"]))
    assert images["jobs"]["pin"]["needs"] == "push"
    assert set(re.findall(r"for stack in ([\w ]+);", shell)[0].split()) == STACKS
    for word in ("containers/image/pin.py", "preview-offline", "git add Pulumi.*.yaml docs/rendered", "gh pr create"):
        assert word in shell


TARGETS = ("dispatcher", "migrator", "transform")
NEW = "sha256:" + "f" * 64


def pin(path: Path, *images: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(REPOSITORY / "containers" / "image" / "pin.py"), str(path), *images]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stack", sorted(STACKS))
def test_a_digest_is_pinned_in_its_line_and_nothing_else_changes(stack: str, tmp_path: Path) -> None:
    before = (REPOSITORY / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    path = tmp_path / "stack.yaml"
    path.write_text(before, encoding="utf-8")
    given = json.loads(configuration(stack)["postgres-etl:images"])
    repository = next(iter(given.values())).partition("@")[0]
    assert pin(path, *(f"{target}={repository}@{NEW}" for target in TARGETS)).returncode == 0
    changed = [
        (old, new) for old, new in zip(before.splitlines(), path.read_text().splitlines(), strict=True) if old != new
    ]
    assert [(re.sub(r"sha256:\w+", NEW, old), len(changed)) for old, _ in changed] == [
        (new, len(given)) for _, new in changed
    ]


@pytest.mark.parametrize(
    "image",
    [
        "migrator=974531504241.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl:latest",
        f"migrator=111111111111.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@{NEW}",
        f"another=974531504241.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@{NEW}",
    ],
)
def test_what_is_no_image_of_the_stack_is_not_pinned(image: str, tmp_path: Path) -> None:
    before = (REPOSITORY / "Pulumi.prod.yaml").read_text(encoding="utf-8")
    path = tmp_path / "stack.yaml"
    path.write_text(before, encoding="utf-8")
    done = pin(path, image)
    assert (done.returncode, path.read_text(encoding="utf-8")) == (65, before)
    assert done.stderr.startswith(f"{path}: ")
