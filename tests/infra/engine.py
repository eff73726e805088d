"""The recording engine: runs the real program without a cloud and keeps what it registered, resolved, in order."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import re
import runpy
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.stack import Stack, run_pulumi_func

from etl_local.spared_costs import spared_costs

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "postgres-etl"
DATABASE_GROUPS = ["sg-0db0000000000000a"]
ALLOCATED_GIB = 200
SALT = "a-synthetic-salt-of-more-than-32-characters"


@dataclass(frozen=True)
class Registered:
    """One resource: type token, logical name, resolved inputs, outputs, and what the inputs do not say."""

    type: str
    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    parent: str
    provider: str
    protect: bool
    retain: bool
    secrets: frozenset[str]

    def document(self, key: str) -> Any:
        """An input that holds JSON text; the same text gives the same object, to be read only."""
        return _parsed(self.inputs[key])


@dataclass
class Deployment:
    """All that one run of the program registered, asked and exported."""

    resources: list[Registered] = field(default_factory=list)
    invokes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def _by_kind(self) -> dict[str, list[Registered]]:
        """Each end of a type token that `all` takes → its resources; asked for only when all are registered."""
        found: defaultdict[str, list[Registered]] = defaultdict(list)
        for resource in self.resources:
            for end in _ends(resource.type):
                found[end].append(resource)
        return found

    def all(self, kind: str) -> list[Registered]:
        """Resources whose type token ends in this kind, such as `Bucket` or `sqs/queue:Queue`."""
        return list(self._by_kind.get(kind, []))

    def one(self, kind: str, name: str = "") -> Registered:
        """The only resource of a kind, or the one of that logical name."""
        found = [r for r in self.all(kind) if name in ("", r.name)]
        assert len(found) == 1, f"{kind} {name}: {[r.name for r in self.all(kind)]}"
        return found[0]

    def container(self, definition: str) -> dict[str, Any]:
        """The only container of a task definition."""
        (only,) = self.one("TaskDefinition", definition).document("containerDefinitions")
        return only

    @property
    def topic(self) -> str:
        """The name of the alarm topic."""
        return self.one("sns/topic:Topic").inputs["name"]

    def permissions(self, policy: str) -> dict[str, Any]:
        """The statements of a role's policy, which all allow: Sid → actions, resources, condition."""
        document = self.one("RolePolicy", policy).document("policy")
        assert document["Version"] == "2012-10-17"
        assert {statement["Effect"] for statement in document["Statement"]} == {"Allow"}
        return {
            statement["Sid"]: {key: value for key, value in statement.items() if key not in ("Sid", "Effect")}
            for statement in document["Statement"]
        }


class RecordingMocks(mocks.Mocks):
    """Gives each resource the outputs that the program reads, made up from its type and name."""

    def __init__(self, account_id: str, region: str, deployment: Deployment, *, preview: bool = False) -> None:
        self._account, self._region, self._deployment = account_id, region, deployment
        self._preview = preview
        self.made: dict[tuple[str, str], dict[str, Any]] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = args.inputs
        if self._preview:  # nothing is made: what is not given is unknown
            return "", inputs
        name = inputs.get("name") or inputs.get("bucket") or inputs.get("family") or args.name
        arn = self._arn(args.typ, str(name), args.name)
        made = {"arn": arn, "name": name, **inputs}
        made |= {
            "aws:sqs/queue:Queue": {"url": f"https://sqs.{self._region}.amazonaws.com/{self._account}/{name}"},
            "aws:kms/key:Key": {"keyId": args.name},
            "aws:rds/instance:Instance": {
                "address": f"{name}.example.com",
                "resourceId": "db-CREATED",
                "masterUserSecrets": [
                    {"secretArn": f"arn:aws:secretsmanager:{self._region}:{self._account}:secret:rds"}
                ],
            },
        }.get(args.typ, {})
        self.made[args.typ, args.name] = {"id": f"{args.name}-id", **made}
        return f"{args.name}-id", made

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        self._deployment.invokes.append((args.token, dict(args.args)))
        return {
            "aws:rds/getInstance:getInstance": lambda: {
                "address": f"{args.args['dbInstanceIdentifier']}.example.com",
                "port": 5432,
                "allocatedStorage": ALLOCATED_GIB,
                "resourceId": "db-ADOPTED",
                "vpcSecurityGroups": DATABASE_GROUPS,
            },
            "aws:ec2/getSubnet:getSubnet": lambda: {
                "vpcId": f"vpc-{args.args['id'].removeprefix('subnet-')[:2]:0<17}",
                "availabilityZone": f"{self._region}{args.args['id'][-1]}",
            },
            "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda: {
                "id": "pl-0500000000000000a",
                "entries": [{"cidr": "192.0.2.0/25", "description": ""}, {"cidr": "192.0.2.128/25", "description": ""}],
            },
        }[args.token]()

    def _arn(self, kind: str, name: str, logical: str) -> str:
        service = kind.split(":")[1].partition("/")[0]
        regional = f"arn:aws:{service}:{self._region}:{self._account}"
        return {
            "aws:s3/bucket:Bucket": f"arn:aws:s3:::{name}",
            "aws:iam/role:Role": f"arn:aws:iam::{self._account}:role/{name}",
            "aws:kms/key:Key": f"{regional}:key/{logical}",
            "aws:ecs/cluster:Cluster": f"{regional}:cluster/{name}",
            "aws:ecs/taskDefinition:TaskDefinition": f"{regional}:task-definition/{name}:1",
            "aws:sfn/stateMachine:StateMachine": f"arn:aws:states:{self._region}:{self._account}:stateMachine:{name}",
            "aws:cloudwatch/logGroup:LogGroup": f"arn:aws:logs:{self._region}:{self._account}:log-group:{name}",
            "aws:secretsmanager/secret:Secret": f"{regional}:secret:{name}-AbCdEf",
        }.get(kind, f"{regional}:{name}")


class RecordingMonitor(mocks.MockMonitor):
    """Records each request whole: parent, provider, protection and secrecy are not among a mock's arguments."""

    def __init__(self, doubles: RecordingMocks, deployment: Deployment) -> None:
        super().__init__(doubles)
        self._doubles, self._deployment = doubles, deployment

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name is Pulumi's
        with _loop_of_this_thread():
            answer = super().RegisterResource(request)
            if request.type != "pulumi:pulumi:Stack":
                wrapped = rpc.deserialize_properties(request.object)
                self._deployment.resources.append(
                    Registered(
                        type=request.type,
                        name=request.name,
                        inputs=unmarked(wrapped),
                        outputs=self._doubles.made.get((request.type, request.name), {}),
                        parent=request.parent.rpartition("::")[2],
                        provider=request.provider.rpartition("::")[0].rpartition("::")[2],
                        protect=request.protect,
                        retain=request.retainOnDelete,
                        secrets=frozenset(key for key, value in wrapped.items() if _is_secret(value)),
                    )
                )
            return answer

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        with _loop_of_this_thread():
            return super().Invoke(request)


class _loop_of_this_thread:  # noqa: N801 - used as a statement
    """Pulumi's double opens an event loop in each thread and leaves it open; this one is closed."""

    def __enter__(self) -> None:
        self._loop = None
        if threading.current_thread() is not threading.main_thread():
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            asyncio.set_event_loop(None)
            self._loop.close()


@functools.cache
def _ends(token: str) -> list[str]:
    return [token, *(token[m.end() :] for m in re.finditer("[:/]", token))]


@functools.cache
def _parsed(text: str) -> Any:
    return json.loads(text)


def stack_config(stack: str) -> dict[str, Any]:
    """The configuration of a stack's own file; an encrypted value becomes a synthetic one."""
    return copy.deepcopy(_stack_file(stack))


@functools.cache
def _stack_file(stack: str) -> dict[str, Any]:
    values = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        key.removeprefix(f"{PROJECT}:"): SALT if isinstance(value, dict) and "secure" in value else value
        for key, value in values.items()
    }


def set_config(stack: str, config: Mapping[str, Any]) -> None:
    """Make this the configuration that the program reads, as the command line would."""
    values = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    settings.reset_options(project=PROJECT, stack=stack)
    pulumi.runtime.set_all_config(values, [f"{PROJECT}:scrubSalt"])


def deploy(stack: str, config: Mapping[str, Any], *, preview: bool = False) -> Deployment:
    """Run the program of a stack with this configuration, to its end; in a preview nothing is made.

    Everything is asserted on afterwards: that something is absent can only be seen once all has been registered.
    """
    deployment = Deployment()
    region = str(config.get("awsRegion", "eu-west-2"))
    doubles = RecordingMocks(str(config["awsAccountId"]), region, deployment, preview=preview)
    monitor = RecordingMonitor(doubles, deployment)

    async def program() -> None:
        # after a fault, every output that waits for the faulty one has the same fault, and nobody asks it
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        # inside the loop: settings and configuration are context variables
        set_config(stack, config)
        mocks.set_mocks(doubles, PROJECT, stack, preview=preview, monitor=monitor)
        await run_pulumi_func(_run_main)
        exports = pulumi.Output.from_input(cast(Stack, settings.get_root_resource()).outputs)
        deployment.exports.update(unmarked(await exports.future()) or {})  # None in a preview

    with spared_costs(), asyncio.Runner() as runner:  # a loop of its own: Python 3.14 has no implicit one
        runner.run(program())
    return deployment


def _run_main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def _is_secret(value: Any) -> bool:
    return rpc.is_rpc_secret(value)


def unmarked(value: Any) -> Any:
    """The value without marks of secrecy; whole numbers as such, which the wire carries as floats."""
    if _is_secret(value):
        return unmarked(rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
