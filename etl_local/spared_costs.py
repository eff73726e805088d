"""What Pulumi does for an engine that is not there: half of a run's time without one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from etl_local.patching import replaced


@contextlib.contextmanager
def spared_costs() -> Iterator[None]:
    """Run programs without what only a real engine reads, and without asking each of hundreds of outputs ever again.

    Each resource's request carries where in the source it was made, a walk up the stack with a path for each frame. And
    at a program's end Pulumi waits for the first of all open outputs, then for the first of the others, and so on: a
    cost by the square of their number. All of them together, or the first that fails, says the same.
    """
    from pulumi.runtime import resource, stack  # noqa: PLC0415  # a second's work, wanted only here
    from pulumi.runtime.proto import source_pb2  # noqa: PLC0415

    async def wait(tasks: Any, **_: str) -> Any:
        return await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)

    with (
        replaced(resource, "_get_stack_trace", source_pb2.StackTrace),
        replaced(stack, "asyncio", SimpleNamespace(**{**vars(asyncio), "wait": wait})),
    ):
        yield
