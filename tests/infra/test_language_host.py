"""The program as Pulumi runs it: in a process of its own, against an engine, with nothing but the requirements."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import rpc
from pulumi.runtime.proto import resource_pb2

from etl_local.rendering.everything import CHANGES
from tests.infra.engine import SALT, Deployment, stack_config
from tests.infra.language_host import Heard, plain, run_program

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def config(rules: Path) -> dict[str, Any]:
    """The configuration of the stack that has all there is."""
    given = {**stack_config("dev"), "scrubDirectory": str(rules), **CHANGES}
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture(scope="module")
def update(config: dict[str, Any]) -> Heard:
    """What `pulumi up` would hear."""
    return run_program("dev", config, preview=False)


@pytest.fixture(scope="module")
def preview(config: dict[str, Any]) -> Heard:
    """What `pulumi preview` of a stack that is not there yet would hear."""
    return run_program("dev", config, preview=True)


def messages(heard: Heard) -> list[str]:
    """What would be shown: everything but debugging."""
    return [text for severity, text in heard.log if severity > 0]


def test_the_program_runs_to_its_end_without_a_word(update: Heard, preview: Heard) -> None:
    for heard in (update, preview):
        assert (heard.returncode, heard.stderr, messages(heard)) == (0, "", [])


def test_a_faulty_configuration_is_told_in_its_own_words(config: dict[str, Any]) -> None:
    heard = run_program("dev", {**config, "extractJobs": 0, "awsRegion": "London"}, preview=True)
    assert heard.returncode != 0
    for fault in ("extractJobs must be 1 to 64, got 0", "awsRegion must be a region such as eu-west-2, got 'London'"):
        assert f"Pulumi.dev.yaml: postgres-etl:{fault}" in heard.stderr
    assert [request.type for request in heard.requests] == ["pulumi:pulumi:Stack"]


def test_the_engine_hears_what_the_recording_engine_records(update: Heard, whole: Deployment) -> None:
    heard = {key: plain(request.object) for key, request in update.resources().items()}
    recorded = {(r.type, r.name): r.inputs for r in whole.resources}
    assert heard.keys() == recorded.keys()
    for key, inputs in recorded.items():
        assert heard[key] == inputs, key
    assert update.outputs == whole.exports


def test_a_preview_registers_the_same_whatever_is_still_unknown(update: Heard, preview: Heard) -> None:
    assert preview.resources().keys() == update.resources().keys()
    unknown = {name for (_, name), r in preview.resources().items() if rpc.UNKNOWN in str(plain(r.object))}
    assert {"extract-bucket-policy", "extract-rds-to-s3-machine"} <= unknown
    assert "extract-bucket-bucket" not in unknown


def test_names_are_the_programs_own_so_that_a_second_run_changes_nothing(update: Heard, preview: Heard) -> None:
    """The engine would make up a name that is not given, another one each time something is replaced."""
    named = ("name", "bucket", "family", "identifier", "metadata")
    for (kind, name), request in preview.resources().items():
        inputs = plain(request.object)
        for field in named:
            assert rpc.UNKNOWN not in str(inputs.get(field, "")) or kind.endswith(("Attachment",)) or field in (
                "bucket", "metadata",
            ), (kind, name)  # fmt: skip
    for (kind, name), request in update.resources().items():
        if kind.rpartition(":")[2] in ("Role", "Bucket", "Queue", "Topic", "StateMachine", "Cluster", "LogGroup"):
            assert "postgres-etl" in str(plain(request.object)), (kind, name)


def parents(heard: Heard) -> Iterator[tuple[str, str, str]]:
    for (kind, name), request in heard.resources().items():
        yield kind, name, request.parent.rpartition("::")[2]


def test_everything_has_its_parent(update: Heard, whole: Deployment) -> None:
    recorded = {(r.type, r.name): r.parent for r in whole.resources}
    for kind, name, parent in parents(update):
        expected = recorded[kind, name]
        assert parent == (expected or "postgres-etl-dev"), (kind, name)


def test_what_holds_data_is_protected_and_retained(update: Heard, whole: Deployment) -> None:
    requests = update.resources()
    retained = {(kind, name) for (kind, name), r in requests.items() if r.retainOnDelete}
    assert retained == {(r.type, r.name) for r in whole.resources if r.retain}
    for (kind, name), request in requests.items():
        if kind.endswith((":Bucket", "key:Key", "queue:Queue", ":Secret", "instance:Instance")):
            assert request.protect, name


def test_nothing_was_renamed_so_nothing_has_an_alias(update: Heard) -> None:
    """Whoever renames a resource gives it its old name as an alias, and says so here; an SDK renames types alone."""
    ours = {
        name: [alias for alias in request.aliases if alias.urn or alias.spec.name or alias.spec.parentUrn]
        for (_, name), request in update.resources().items()
    }
    assert {name: aliases for name, aliases in ours.items() if aliases} == {}


def test_the_salt_is_a_secret_wherever_it_is_said(update: Heard, preview: Heard) -> None:
    for heard in (update, preview):
        said = [r for r in heard.requests if SALT in str(r)]
        assert [(r.type, r.name) for r in said] == [
            ("aws:secretsmanager/secretVersion:SecretVersion", "transform-salt-value")
        ]
        assert rpc.is_rpc_secret(dict_of(said[0])["secretString"])
        assert SALT not in json.dumps(heard.outputs) + str(heard.log) + heard.stderr


def dict_of(request: resource_pb2.RegisterResourceRequest) -> dict[str, Any]:
    """The inputs with their marks of secrecy."""
    return rpc.deserialize_properties(request.object)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("extract-queue-notification", "extract-queue-policy"),
        ("extract-rds-to-s3-machine", "extract-rds-to-s3-policy"),
        ("extract-bucket-policy", "extract-bucket-public-access-block"),
        ("extract-nightly-schedule", "extract-nightly-policy"),
        ("transform-dispatcher-deployment", "transform-dispatcher-role-binding"),
        ("transform-dispatcher-deployment", "transform-dispatcher-job-template"),
        ("transform-admission-postgres-etl-jobs-binding", "transform-admission-postgres-etl-jobs"),
        ("extract-source-instance", "extract-source-postgresql-logs"),
    ],
)
def test_what_needs_another_thing_first_says_so(name: str, needs: str, update: Heard) -> None:
    (request,) = [r for (_, own), r in update.resources().items() if own == name]
    assert needs in {urn.rpartition("::")[2] for urn in request.dependencies}


def test_every_custom_resource_names_its_provider(update: Heard) -> None:
    for (kind, name), request in update.resources().items():
        if kind.startswith(("aws:", "kubernetes:")):
            assert request.provider.split("::")[-2] in ("aws", "kubernetes"), name
