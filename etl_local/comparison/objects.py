"""The comparison of objects that are no rows: of each kind, which are missing, unexpected or differently defined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectComparison:
    """All objects of one kind (`index`, `sequence`, …), by name; definitions are compared, never shown."""

    kind: str
    source_count: int
    target_count: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both databases hold the same ones."""
        return not (self.missing or self.unexpected or self.different)


def compare_objects(kind: str, source: Mapping[str, str], target: Mapping[str, str]) -> ObjectComparison:
    """Compare name → definition of one kind."""
    return ObjectComparison(
        kind=kind,
        source_count=len(source),
        target_count=len(target),
        missing=tuple(sorted(source.keys() - target.keys())),
        unexpected=tuple(sorted(target.keys() - source.keys())),
        different=tuple(sorted(name for name in source.keys() & target.keys() if source[name] != target[name])),
    )
