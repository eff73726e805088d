"""A Pulumi engine reduced to its conversation: it hears what a program in a process of its own registers, over gRPC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from tests.infra.engine import PROJECT, ROOT, Deployment, RecordingMocks, unmarked

EXECUTOR = Path(__file__).parent / "executor.py"


@dataclass
class Heard:
    """All that a run of the program said.

    Attributes:
        returncode: of the process.
        requests: one for each resource, in order.
        outputs: of the stack.
        log: severity and text of each message.
        stderr: what the process printed.
    """

    returncode: int = -1
    requests: list[resource_pb2.RegisterResourceRequest] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[int, str]] = field(default_factory=list)
    stderr: str = ""

    def resources(self) -> dict[tuple[str, str], resource_pb2.RegisterResourceRequest]:
        """The requests by type and name, the stack's own apart."""
        return {(r.type, r.name): r for r in self.requests if r.type != "pulumi:pulumi:Stack"}


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, heard: Heard, doubles: RecordingMocks, stack: str, *, preview: bool) -> None:
        self._heard, self._doubles, self._stack, self._preview = heard, doubles, stack, preview

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - gRPC's names
        features = [
            number
            for name, number in resource_pb2.ResourceMonitorFeature.items()
            if not name.endswith(("UNSPECIFIED", "UNKNOWN"))
        ]
        return resource_pb2.DeploymentInfo(supportedFeatures=features)

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._heard.requests.append(request)
        kinds = f"{request.parent.split('::')[2]}$" if "$" in request.parent or "etl:" in request.parent else ""
        urn = f"urn:pulumi:{self._stack}::{PROJECT}::{kinds}{request.type}::{request.name}"
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        if not request.custom or self._preview:
            # in a preview nothing is made: whatever the provider would compute is unknown
            return resource_pb2.RegisterResourceResponse(urn=urn, object=answer)
        inputs = plain(request.object)
        made_id, made = self._doubles.new_resource(
            mocks.MockResourceArgs(typ=request.type, name=request.name, inputs=inputs, custom=True)
        )
        answer.update({key: value for key, value in made.items() if key not in inputs})
        return resource_pb2.RegisterResourceResponse(urn=urn, id=made_id, object=answer)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self._heard.outputs.update(plain(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        result = self._doubles.call(mocks.MockCallArgs(token=request.tok, args=plain(request.args), provider=""))
        answer = struct_pb2.Struct()
        answer.update(result)
        return resource_pb2.ResourceInvokeResponse(**{"return": answer})

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return empty_pb2.Empty()


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self, heard: Heard) -> None:
        self._heard, self._root = heard, ""

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._heard.log.append((request.severity, request.message))
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


def plain(message: Any) -> dict[str, Any]:
    """A struct as Python has it, without marks of secrecy; whole numbers as such."""
    return unmarked(json_format.MessageToDict(message))


def run_program(stack: str, config: Mapping[str, Any], *, preview: bool) -> Heard:
    """Run the program of a stack in a process of its own, to its end.

    Of installed packages it sees the files alone: no path that an editable installation adds, only the program's own.
    """
    heard = Heard()
    doubles = RecordingMocks(str(config["awsAccountId"]), str(config.get("awsRegion", "eu-west-2")), Deployment())
    server = grpc.server(ThreadPoolExecutor(max_workers=32))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(_Monitor(heard, doubles, stack, preview=preview), server)
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(heard), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        done = subprocess.run(
            [
                sys.executable, "-S", "-W", "ignore", str(EXECUTOR), "--monitor", address, "--engine", address,
                "--project", PROJECT, "--stack", stack, "--dry_run", str(preview).lower(), str(ROOT),
            ],
            cwd=ROOT,
            env={
                "PATH": os.defpath,
                "PYTHONPATH": sysconfig.get_path("purelib"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PULUMI_CONFIG": json.dumps(
                    {f"{PROJECT}:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}
                ),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps([f"{PROJECT}:scrubSalt"]),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )  # fmt: skip
    finally:
        server.stop(None).wait()
    heard.returncode, heard.stderr = done.returncode, done.stderr
    return heard
