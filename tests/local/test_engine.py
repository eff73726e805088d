"""The Pulumi engine's stand-in: what a program registers, exports and gets wrong."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from etl_local.engine import Deployment, DeploymentError, Recorded, Request, deploy

PROGRAM = """
import pulumi

config = pulumi.Config("postgres-etl")


class Toy(pulumi.CustomResource):
    size: pulumi.Output[int]

    def __init__(self, name, size, opts=None):
        super().__init__("toy:index:Toy", name, {"size": size, "secret": pulumi.Output.secret("hush")}, opts)


class Box(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("toy:index:Box", name)
        self.toy = Toy(f"{name}-toy", config.require_int("size"), pulumi.ResourceOptions(parent=self))
        self.register_outputs({"size": self.toy.size})


box = Box("box")
asked = pulumi.runtime.invoke("toy:index:getShelf", {"width": 3})
pulumi.export("size", box.toy.size)
pulumi.export("nested", {"id": box.toy.id, "secret": pulumi.Output.secret("hush")})
pulumi.export("shelf", asked.value)
pulumi.export("stack", pulumi.get_stack())
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "__main__.py"
    path.write_text(PROGRAM)
    return path


def create(request: Request) -> tuple[str, dict[str, Any]]:
    return f"id-of-{request.name}", {"size": request.inputs["size"] + 1}


def invoke(token: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"token": token, **arguments}


def run(program: Path, create: Any = create, invoke: Any = invoke, **config: str) -> Deployment:
    values = {"size": "41", **config}
    return deploy(program, "dev", {f"postgres-etl:{key}": value for key, value in values.items()}, create, invoke)


def test_resources_exports_and_functions_are_resolved(program: Path):
    deployment = run(program)
    assert sorted(deployment.resources, key=lambda resource: resource.type) == [
        Recorded("toy:index:Box", "box", {}, "", {}),
        Recorded(
            "toy:index:Toy", "box-toy", {"size": 41, "secret": "hush"}, "id-of-box-toy", {"size": 42, "secret": "hush"}
        ),
    ]
    assert deployment.outputs == {
        "size": 42,
        "nested": {"id": "id-of-box-toy", "secret": "hush"},
        "shelf": {"token": "toy:index:getShelf", "width": 3},
        "stack": "dev",
    }


def test_whole_numbers_reach_the_maker_as_integers(program: Path):
    sizes: list[Any] = []
    run(program, lambda request: (sizes.append(request.inputs["size"]), create(request))[1])
    assert [type(size) for size in sizes] == [int]


def test_the_same_program_runs_again_with_other_settings(program: Path):
    assert [run(program, size=size).outputs["size"] for size in ("1", "2")] == [2, 3]


def test_a_maker_that_fails_is_one_line_that_names_the_resource(program: Path):
    def refuse(_: Request) -> tuple[str, dict[str, Any]]:
        raise LookupError("no such\n  toy ")

    with pytest.raises(DeploymentError) as caught:
        run(program, refuse)
    assert str(caught.value) == 'toy:index:Toy "box-toy": no such; toy'


def test_a_function_that_fails_is_one_line_that_names_it(program: Path):
    def refuse(_token: str, _arguments: dict[str, Any]) -> dict[str, Any]:
        raise LookupError("no shelf")

    with pytest.raises(DeploymentError) as caught:
        run(program, invoke=refuse)
    assert str(caught.value) == "toy:index:getShelf: no shelf"


def test_a_program_that_fails_is_one_line(program: Path):
    program.write_text(PROGRAM + "raise ValueError('Pulumi.dev.yaml: one fault\\nPulumi.dev.yaml: another')\n")
    with pytest.raises(DeploymentError) as caught:
        run(program)
    assert str(caught.value) == "__main__.py: Pulumi.dev.yaml: one fault; Pulumi.dev.yaml: another"


def test_a_failed_run_does_not_act_on_the_next(program: Path):
    def refuse(_: Request) -> tuple[str, dict[str, Any]]:
        raise LookupError("no")

    with pytest.raises(DeploymentError):
        run(program, refuse)
    assert run(program).outputs["size"] == 42


def test_a_caller_with_an_event_loop_of_its_own_keeps_it(program: Path):
    async def deploy_within() -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        return run(program).outputs["size"], loop is asyncio.get_running_loop()

    assert asyncio.run(deploy_within()) == (42, True)


def test_nothing_of_it_runs_on_afterwards(program: Path):
    before = set(threading.enumerate())
    run(program)
    assert set(threading.enumerate()) <= before
