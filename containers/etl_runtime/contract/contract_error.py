"""A name that is not as agreed."""

from __future__ import annotations


class ContractError(ValueError):
    """A name from outside that does not have the agreed shape; the message never repeats more than a short prefix."""


def shown(text: str) -> str:
    """The text as a message repeats it: its first sixty characters, in ASCII."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")
