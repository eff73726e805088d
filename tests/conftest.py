"""What holds for every test."""

from __future__ import annotations

import functools
import gc
import signal
from collections.abc import Iterator

import botocore.loaders
import pytest


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs under test: a shell's background job ignores it, and its children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.set_threshold(200_000, 50, 100)


def pytest_collection_finish() -> None:
    """Let the collector leave the providers' classes alone: a fifth of all tests' time was its search among them."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _models_read_once() -> Iterator[None]:
    """Let all AWS sessions share what they read from botocore's model files: reading it anew takes most of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", functools.cache(botocore.loaders.create_loader))
        yield
