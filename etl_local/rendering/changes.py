"""What differs between two renderings of a stack: resources added, removed, renamed, changed, property by property."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from etl_local.rendering.properties import property_changes
from etl_local.rendering.stack_document import BETWEEN, Document

_SECTIONS: Final = ("exports", "lookups")
"""What a document has beside resources."""

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Renamed:
    """A resource that stays although its identity changes, because an alias names the former one."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference of two renderings, places in order.

    Attributes:
        added: place → type.
        removed: place → type.
        renamed: what an alias carries over.
        changed: place (the present one) → lines, each marked `+`, `-` or `!`.
        warnings: sentences about what would be lost or refused.
        unchanged: how many resources are as they were.
    """

    added: dict[str, str] = field(default_factory=dict[str, str])
    removed: dict[str, str] = field(default_factory=dict[str, str])
    renamed: list[Renamed] = field(default_factory=list[Renamed])
    changed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    warnings: list[str] = field(default_factory=list[str])
    unchanged: int = 0

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.renamed or self.changed)

    def lines(self, stack: str) -> list[str]:
        """What a reviewer reads: marks in the first column, so that a `diff` block colours them."""
        counts = {
            "added": len(self.added),
            "removed": len(self.removed),
            "renamed": len(self.renamed),
            "changed": len(self.changed),
        }
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing changed"
        return [
            f"{stack}: {said}, {self.unchanged} as before",
            *(f"! WARNING {warning}" for warning in self.warnings),
            *(f"+ {place}  ({kind})" for place, kind in self.added.items()),
            *(f"- {place}  ({kind})" for place, kind in self.removed.items()),
            *(f"! {renamed.before} is now {renamed.after}, the same resource" for renamed in self.renamed),
            *(line for place, lines in self.changed.items() for line in (f"! {place}", *lines)),
        ]


def changes(before: Document, after: Document) -> Changes:
    """Compare two renderings of one stack."""
    earlier: dict[str, Resource] = before["resources"]
    later: dict[str, Resource] = after["resources"]
    was, now = _by_identity(earlier), _by_identity(later)
    carried = {place: was[key] for key, place in now.items() if key in was}
    carried |= dict(_aliased(now, later, {key: place for key, place in was.items() if key not in now}))
    added = {place: later[place]["type"] for place in later if place not in carried}
    removed = {place: earlier[place]["type"] for place in earlier if place not in carried.values()}
    changed = {place: property_changes(_flat(earlier[old]), _flat(later[place])) for place, old in carried.items()}
    sections = {name: property_changes({name: before[name]}, {name: after[name]}) for name in _SECTIONS}
    return Changes(
        added=added,
        removed=removed,
        renamed=[Renamed(old, place) for place, old in sorted(carried.items()) if place != old],
        changed={place: lines for place, lines in (*sections.items(), *sorted(changed.items())) if lines},
        warnings=[*_likely_renames(added, removed, earlier, later), *_protected(removed, earlier)],
        unchanged=sum(1 for place, lines in changed.items() if not lines and carried[place] == place),
    )


def _flat(resource: Resource) -> dict[str, Any]:
    """Inputs beside options; the aliases say what was, not what is."""
    options = {key: value for key, value in resource.items() if key not in ("inputs", "aliases", "type")}
    return {**cast(dict[str, Any], resource.get("inputs", {})), **{f"({key})": value for key, value in options.items()}}


def _by_identity(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Types from the top down and name → place; as `stack_document.identity`, from the document alone."""
    identities: dict[str, str] = {}
    for place, resource in resources.items():
        kind = resource["type"]
        *above, name = place.removesuffix(f" ({kind})").split(BETWEEN)
        parents = [BETWEEN.join(above[: depth + 1]) for depth in range(len(above))]
        types = [*(resources[parent]["type"] for parent in parents), kind]
        identities[f"{'$'.join(types)}::{name}"] = place
    return identities


def _aliased(now: Mapping[str, str], later: Mapping[str, Resource], gone: dict[str, str]) -> Iterator[tuple[str, str]]:
    for place in now.values():
        for former in later[place].get("aliases", ()):
            if former in gone:
                yield place, gone.pop(former)
                break


def _likely_renames(
    added: Mapping[str, str], removed: Mapping[str, str], earlier: Mapping[str, Resource], later: Mapping[str, Resource]
) -> Iterator[str]:
    """A resource that goes while its equal comes: an engine deletes the one and creates the other."""
    candidates = dict(removed)
    for place, kind in added.items():
        for old in [old for old, old_kind in candidates.items() if old_kind == kind]:
            if "inputs" in later[place] and earlier[old].get("inputs") == later[place]["inputs"]:
                del candidates[old]
                yield f"{old} looks renamed to {place} without an alias: it would be deleted, and created anew"
                break


def _protected(removed: Mapping[str, str], earlier: Mapping[str, Resource]) -> Iterator[str]:
    for place in removed:
        if earlier[place].get("protect") and "inputs" in earlier[place]:
            yield f"{place} is protected: `pulumi up` refuses to delete it"
