"""A recorded program as a document: places, options, aliases, structures, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from etl_local.engine import Request, deploy
from etl_local.rendering.recorded_stack import RecordedStack
from etl_local.rendering.stack_document import Document, stack_document, stack_text

PROGRAM = """
import json
import pulumi
from pulumi import Alias, ResourceOptions


class Toy(pulumi.CustomResource):
    def __init__(self, name, inputs, opts=None):
        super().__init__("toy:index:Toy", name, inputs, opts)


class ToyProvider(pulumi.ProviderResource):
    def __init__(self):
        super().__init__("toy", "toy", {})


class Box(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("etl:index:Box", name, None, opts)
        first = Toy(f"{name}-first", {"size": 1}, ResourceOptions(parent=self, aliases=[Alias(name="one")]))
        last = Toy(f"{name}-third", {}, ResourceOptions(parent=self))
        Toy(
            f"{name}-second",
            {
                "policy": pulumi.Output.json_dumps({"Version": "1", "Statement": [{"Sid": "A", "Effect": "Allow"}]}),
                "inner": json.dumps({"text": json.dumps(["x", "y"])}),
                "token": pulumi.Output.secret("hush"),
                "nested": {"b": 1, "name": pulumi.Output.secret("hush")},
                "settings": {"z": 1, "a": 2, "name": "n"},
                "size": first.id,
            },
            ResourceOptions(parent=self, protect=True, retain_on_delete=True, depends_on=[first, last]),
        )


class Maps(pulumi.CustomResource):
    def __init__(self, name, data):
        super().__init__("kubernetes:core/v1:ConfigMap", name, {"data": data})


Box("crate", ResourceOptions(aliases=[Alias(name="box"), Alias(type_="etl:index:Chest")]))
lost = "urn:pulumi:dev::p::toy:index:T::lost"
Toy("loose", {"text": "{not json", "lines": "a\\nb\\n"}, ResourceOptions(aliases=[lost]))
job = "apiVersion: v1\\nkind: Job\\nspec: {n: 1}\\n"
Maps("maps", {"job.yaml": job, "rules.sql": "SELECT 1;", "list.yaml": "- a\\n"})
Toy("given", {}, ResourceOptions(provider=ToyProvider()))
pulumi.export("plain", {"z": 1, "a": 2})
pulumi.export("hidden", pulumi.Output.secret("hush"))
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    program = tmp_path_factory.mktemp("program") / "__main__.py"
    program.write_text(PROGRAM)

    def create(request: Request) -> tuple[str, dict[str, Any]]:
        return f"id-of-{request.name}", {}

    deployment = deploy(program, "dev", {}, create, lambda *_: {})
    return stack_document(RecordedStack("dev", deployment, [("toy:getShelf", {"b": 1, "a": 2})]))


def test_a_resource_stands_below_what_it_belongs_to(document: Document) -> None:
    assert list(document["resources"]) == [
        "crate", "crate / crate-first", "crate / crate-second", "crate / crate-third", "given", "loose", "maps", "toy",
    ]  # fmt: skip
    assert document["resources"]["crate"]["type"] == "etl:index:Box"


def test_the_options_that_are_set_stand_beside_the_inputs(document: Document) -> None:
    second = document["resources"]["crate / crate-second"]
    assert {key: value for key, value in second.items() if key not in ("inputs", "type", "aliases")} == {
        "protect": True,
        "retainOnDelete": True,
        "provider": "default",
        "dependsOn": ["crate-third"],
    }, "an input comes from the first, which says as much"
    assert "protect" not in document["resources"]["loose"]


def test_a_resource_that_goes_past_the_stacks_own_provider_is_seen(document: Document) -> None:
    resources = document["resources"]
    assert resources["loose"]["provider"] == "default"
    assert "provider" not in resources["crate"], "nobody makes a component"
    assert "provider" not in resources["toy"]
    assert "provider" not in resources["given"]


def test_json_text_is_a_structure_in_its_own_order_however_deep(document: Document) -> None:
    inputs = document["resources"]["crate / crate-second"]["inputs"]
    assert list(inputs["policy"].items()) == [("Version", "1"), ("Statement", [{"Sid": "A", "Effect": "Allow"}])]
    assert inputs["inner"] == {"text": ["x", "y"]}
    assert document["resources"]["loose"]["inputs"]["text"] == "{not json"


def test_an_input_that_is_or_holds_a_secret_is_not_shown(document: Document) -> None:
    inputs = document["resources"]["crate / crate-second"]["inputs"]
    assert (inputs["token"], inputs["nested"]) == ("[secret]", "[secret]")
    assert document["exports"] == {"hidden": "[secret]", "plain": {"a": 2, "z": 1}}
    assert "hush" not in stack_text(document)


def test_names_come_first_and_the_rest_in_order(document: Document) -> None:
    assert list(document["resources"]["crate / crate-second"]["inputs"]["settings"]) == ["name", "a", "z"]


def test_what_is_known_only_once_it_exists_is_made_up_from_its_name(document: Document) -> None:
    assert document["resources"]["crate / crate-second"]["inputs"]["size"] == "id-of-crate-first"


def test_a_manifest_in_a_config_map_is_a_structure_and_any_other_file_a_digest(document: Document) -> None:
    data = document["resources"]["maps"]["inputs"]["data"]
    assert data["job.yaml"] == {"apiVersion": "v1", "kind": "Job", "spec": {"n": 1}}
    assert data["rules.sql"] == "sha256:17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a (9 bytes)"
    assert data["list.yaml"].startswith("sha256:")


def test_a_lookup_is_its_function_and_arguments(document: Document) -> None:
    assert document["lookups"] == ['toy:getShelf {"a": 2, "b": 1}']


def test_aliases_are_all_the_identities_that_a_resource_may_have_had(document: Document) -> None:
    resources = document["resources"]
    assert resources["crate"]["aliases"] == ["etl:index:Box::box", "etl:index:Chest::crate"]
    assert resources["crate / crate-second"]["aliases"] == [
        "etl:index:Box$toy:index:Toy::box-second",
        "etl:index:Chest$toy:index:Toy::crate-second",
    ]
    assert resources["crate / crate-first"]["aliases"] == [
        "etl:index:Box$toy:index:Toy::box-first",
        "etl:index:Box$toy:index:Toy::one",
        "etl:index:Chest$toy:index:Toy::crate-first",
        "etl:index:Chest$toy:index:Toy::one",
    ]
    assert resources["loose"]["aliases"] == ["toy:index:T::lost"]


def test_the_text_is_yaml_that_says_the_same(document: Document) -> None:
    text = stack_text(document)
    assert text.startswith("# What stack dev registers")
    assert yaml.safe_load(text) == document
    assert "      lines: |\n        a\n        b\n" in text
    assert "&id" not in text


def test_a_program_that_is_run_again_gives_the_same_document(document: Document, tmp_path: Path) -> None:
    program = tmp_path / "__main__.py"
    program.write_text(PROGRAM)
    deployment = deploy(program, "dev", {}, lambda request: (f"id-of-{request.name}", {}), lambda *_: {})
    assert stack_document(RecordedStack("dev", deployment, []))["resources"] == document["resources"]
