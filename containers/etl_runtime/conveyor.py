"""Tasks in parallel, their results in order, and never more of them under way than memory is meant for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from etl_runtime.faults import check_stopping

Result = TypeVar("Result")


def conveyed(tasks: Iterable[Callable[[], Result]], workers: int, abandon: Callable[[], None]) -> Iterator[Result]:
    """The results, in the order of the tasks.

    Args:
        tasks: Made one by one, as there is room for them.
        workers: Threads; twice as many tasks are under way or wait to be taken.
        abandon: Called when one fails, so that the others, in the middle of their work, end at once.

    Raises:
        Whatever the first task that failed raised.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="table")
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            check_stopping()
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(task))
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        abandon()
        raise
    pool.shutdown()
