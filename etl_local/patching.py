"""Replacing an attribute of somebody else's class or module for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replaced(owner: object, name: str, replacement: Any) -> Iterator[None]:
    """Give a class or module another attribute until the context is left.

    Args:
        owner: the class or module.
        name: the attribute's; it may be inherited, and is so again afterwards.
        replacement: what stands there meanwhile.
    """
    own = vars(owner).get(name)  # not getattr: that would turn a static method into a function
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
