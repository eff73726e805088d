"""The real Pulumi program, run without the Pulumi CLI: a function given here makes each resource that it registers.

Pulumi's own test double stands where the engine would; what a provider would do, the caller does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import runpy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from etl_local.registration import Registration
from etl_local.spared_costs import spared_costs

_PROJECT = "postgres-etl"
_log = logging.getLogger(__name__)


class DeploymentError(Exception):
    """The program or one of its resources failed; the message is one line that says which and why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One resource that the program registered, with what it became.

    Attributes:
        type: the Pulumi type token, such as `aws:s3/bucket:Bucket`.
        name: the logical name.
        inputs: its resolved inputs, keys in Pulumi's camelCase.
        id: the physical identifier, "" for a component.
        outputs: all its properties after creation, inputs included.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    id: str
    outputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a run of the program left behind.

    Attributes:
        resources: its resources in order of creation.
        outputs: the stack's exports.
        secret_outputs: the exports that are secret, or hold a secret.
        registrations: the same resources as the program registered them, with their options, in no certain order.
    """

    resources: list[Recorded] = field(default_factory=list[Recorded])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    secret_outputs: frozenset[str] = field(default=frozenset())
    registrations: list[Registration] = field(default_factory=list[Registration])


@dataclass(frozen=True, slots=True)
class Request:
    """One resource that the program asks for.

    Attributes:
        type: the Pulumi type token, such as `aws:s3/bucket:Bucket`.
        name: the logical name.
        inputs: its resolved inputs, keys in Pulumi's camelCase.
        existing_id: the identifier of a resource that is only looked up (`Bucket.get(…)`), "" for one to be made.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    existing_id: str = ""


Create = Callable[[Request], tuple[str, dict[str, Any]]]
"""Request → identifier and outputs. Called in several threads at a time."""

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Function token, arguments → result."""


def deploy(
    program: Path,
    stack: str,
    config: Mapping[str, str],
    create: Create,
    invoke: Invoke,
    on_resource: Callable[[Recorded], None] = lambda _: None,
) -> Deployment:
    """Run a Pulumi program to its end.

    It runs in a thread of its own, with its own event loop and Pulumi settings, so the caller may have both already.

    Args:
        program: the path of `__main__.py`.
        stack: the stack's name.
        config: fully named keys (`postgres-etl:awsRegion`) with values as in a stack file; lists and objects as JSON.
        create: makes one resource; components are not given to it.
        invoke: answers one provider function.
        on_resource: told of each resource once it is there, in the creating thread.

    Raises:
        DeploymentError: anything in the program, or in `create` or `invoke`, failed.
    """
    result: list[Deployment | BaseException] = []

    def run() -> None:
        try:
            result.append(_run(program, stack, config, create, invoke, on_resource))
        except BaseException as error:  # raised again in the calling thread
            result.append(error)

    thread = threading.Thread(target=run, name="pulumi program", daemon=True)
    thread.start()
    thread.join()
    outcome = result[0]
    if isinstance(outcome, Deployment):
        return outcome
    raise outcome


def _run(
    program: Path,
    stack: str,
    config: Mapping[str, str],
    create: Create,
    invoke: Invoke,
    on_resource: Callable[[Recorded], None],
) -> Deployment:
    import pulumi  # noqa: PLC0415  # a second's work, wanted only here
    from pulumi.runtime import mocks as pulumi_mocks  # noqa: PLC0415
    from pulumi.runtime import rpc  # noqa: PLC0415
    from pulumi.runtime import settings as pulumi_settings  # noqa: PLC0415
    from pulumi.runtime.stack import Stack, run_pulumi_func  # noqa: PLC0415

    recorded: list[Recorded] = []
    registrations: list[Registration] = []
    faults: list[DeploymentError] = []
    lock = threading.Lock()

    class Provider(pulumi_mocks.Mocks):
        """Makes resources by the caller's functions, and keeps the first fault: Pulumi's report of it says less."""

        def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
            with self._noting(f'{args.typ} "{args.name}"'):
                request = Request(args.typ, args.name, _plain(args.inputs), args.resource_id or "")
                made = create(request) if args.custom is not False else ("", {})
                resource = Recorded(args.typ, args.name, request.inputs, made[0], {**request.inputs, **made[1]})
                with lock:
                    recorded.append(resource)
                on_resource(resource)
            return resource.id, resource.outputs

        def call(self, args: pulumi_mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
            with self._noting(args.token):
                return invoke(args.token, _plain(args.args))

        @contextlib.contextmanager
        def _noting(self, subject: str) -> Iterator[None]:
            try:
                yield
            except Exception as error:
                faults.append(DeploymentError(f"{subject}: {one_line(error)}"))
                raise

    class Monitor(pulumi_mocks.MockMonitor):
        """Keeps what a request says beside inputs; closes the event loop that the double leaves in each thread."""

        def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the name is Pulumi's
            with _closing_loop():
                answer = super().RegisterResource(request)
                if request.type != "pulumi:pulumi:Stack":
                    wrapped = rpc.deserialize_properties(request.object)
                    secrets = frozenset(key for key, value in wrapped.items() if _holds_secret(value))
                    with lock:
                        registrations.append(Registration.of(request, answer.urn, _plain(wrapped), secrets))
                return answer

        def ReadResource(self, request: Any) -> Any:  # noqa: N802
            with _closing_loop():
                return super().ReadResource(request)

        def Invoke(self, request: Any) -> Any:  # noqa: N802
            with _closing_loop():
                return super().Invoke(request)

    async def drive() -> tuple[dict[str, Any], frozenset[str]]:
        # after a fault, every resource that waits for the faulty one has the same fault, and nobody asks it
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        pulumi_settings.reset_options(project=_PROJECT, stack=stack)
        pulumi.runtime.set_all_config(dict(config))
        provider = Provider()
        pulumi.runtime.set_mocks(provider, _PROJECT, stack, preview=False, logger=_log, monitor=Monitor(provider))
        await run_pulumi_func(lambda: _executed(program))
        root = cast(Stack, pulumi_settings.get_root_resource())
        exports = {key: pulumi.Output.from_input(value) for key, value in root.outputs.items()}
        secret = frozenset({key for key, value in exports.items() if await value.is_secret()})
        return {key: await value.future() for key, value in exports.items()}, secret

    with spared_costs(), asyncio.Runner() as runner:
        try:
            outputs, secret_outputs = runner.run(drive())
        except Exception as error:
            raise faults[0] if faults else DeploymentError(f"{program.name}: {one_line(error)}") from error
        return Deployment(recorded, outputs, secret_outputs, registrations)


@contextlib.contextmanager
def _closing_loop() -> Iterator[None]:
    if _in_a_loop():
        yield
        return
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _executed(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def _plain(value: Any) -> Any:
    """Inputs as the program gave them: on their way through Pulumi numbers become floats, and secrets are wrapped."""
    match value:
        case {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": secret}:
            return _plain(secret)
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _holds_secret(value: Any) -> bool:
    match value:
        case {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}:
            return True
        case dict():
            return any(map(_holds_secret, value.values()))
        case list():
            return any(map(_holds_secret, value))
        case _:
            return False


def one_line(error: BaseException) -> str:
    """What an exception says, without its class unless it says nothing, its lines joined by semicolons."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
