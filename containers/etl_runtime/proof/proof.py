"""The proof of a release: no original value of what was scrubbed is in the files that will be released.

It knows nothing of how values were made: it gathers the originals from the raw archive's rows as keyed digests, and
then reads the finished files again. In its own column an original may not be a value (an element of an array, a leaf of
a JSON document); where its rule does not say otherwise, it may stand in no value of any file that was written anew, as
words in a row: not in a sentence, a document, an array, a URL or bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.proof.digest_store import DigestPool
from etl_runtime.proof.kernel import MOST_TOKENS, Collected, Digests, Filter, JsonPaths, Key, Segment
from etl_runtime.proof.watch import ColumnProof, Unproved, Watch, watches_of
from etl_runtime.table_keys import Keys, Name
from etl_runtime.table_shape import TableShape

_MOST_SIGHTINGS = 1 << 20
"""Digests that the filter let through and that wait to be held against the originals."""
_MOST_TOLD = 24


@dataclass(frozen=True, slots=True)
class Originals:
    """What one segment of raw rows gave: by the number of a watch, and the lengths of values in words."""

    found: Mapping[int, Collected]
    lengths: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the filter let through of a segment that will be released; `places` names its columns for people."""

    units: Mapping[int, Digests]
    grams: Digests
    columns: NDArray[np.uint64]
    places: Sequence[str]


class Proof:
    """One run's proof. `gather` and `examine` may be called in any thread, the rest in one.

    Args:
        shapes: Of the tables that are written anew and of which rows come out.
        keys: Of the archive.
        rows: How many rows of each table there are to gather from; an estimate is enough.
        directory: An existing directory for digests that do not fit in memory.
        key: Of the digests.

    Raises:
        Fault: CONFIG when a rule asks for a proof that cannot be made.
    """

    def __init__(
        self, shapes: Sequence[TableShape], keys: Keys, rows: Callable[[Name], int], directory: Path, key: Key
    ) -> None:
        self._key = key
        self._pool = DigestPool(directory)
        self._watches: dict[Name, list[Watch]] = {}
        self.unproved: list[Unproved] = []
        number = 1
        for shape in shapes:
            entry = shape.table.entry
            table = (entry.schema, entry.tag)
            self._watches[table], unproved = watches_of(shape, keys.primary(table), number)
            self.unproved += unproved
            number += len(self._watches[table])
        self._all = [watch for watches in self._watches.values() for watch in watches]
        self._paths: dict[int, JsonPaths | None] = {watch.number: watch.kernel_paths() for watch in self._all}
        self._constants: dict[int, Digests] = {}
        self._units = {watch.number: self._pool.store() for watch in self._all}
        self._grams = {watch.number: self._pool.store() for watch in self._all if watch.is_everywhere}
        self._lengths = np.zeros(MOST_TOKENS + 1, np.uint8)
        # A unit of each value, and where it is looked for everywhere a gram and its start; more let more through.
        self._filter = Filter(
            sum(
                rows(table) * len(watch.paths or "1") * (3 if watch.is_everywhere else 1)
                for table, watches in self._watches.items()
                for watch in watches
            )
        )
        self._survivors = dict.fromkeys(self._units, 0)
        self._elsewhere: dict[int, dict[str, int]] = {number: {} for number in self._grams}
        self._waiting: list[Sightings] = []

    @property
    def watches(self) -> Sequence[Watch]:
        """All of them."""
        return self._all

    def watched(self, table: Name) -> bool:
        """Whether the table has originals to gather."""
        return bool(self._watches.get(table))

    def pass_over(self, watch: Watch, constant: bytes) -> None:
        """What the rule writes for everyone, as a row of COPY text, gives nothing away."""
        segment = Segment(constant, 1, f"the constant of {watch.name}")
        self._constants[watch.number] = segment.collect(
            0, self._key, watch.units, domain=watch.number, paths=self._paths[watch.number]
        ).units

    def gather(self, table: Name, segment: Segment) -> Originals:
        """The originals of some raw rows."""
        lengths = np.zeros(MOST_TOKENS + 1, np.uint8)
        return Originals({w.number: self._collected(w, segment, lengths) for w in self._watches[table]}, lengths)

    def _collected(self, watch: Watch, segment: Segment, lengths: NDArray[np.uint8] | None) -> Collected:
        return segment.collect(
            watch.at,
            self._key,
            watch.units,
            domain=watch.number,
            paths=self._paths[watch.number],
            row_digests=segment.tuples(watch.row_columns, self._key) if watch.row_columns else None,
            constants=self._constants.get(watch.number),
            lengths=lengths if watch.is_everywhere else None,
        )

    def add(self, originals: Originals) -> None:
        """Keep what `gather` found; all of it before anything is examined."""
        for number, collected in originals.found.items():
            self._units[number].add(collected.units)
            self._filter.add(collected.units)
            if number in self._grams:
                self._grams[number].add(collected.grams)
                self._filter.add(collected.grams)
                self._filter.add(collected.starts)
        self._lengths |= originals.lengths

    def examine(self, segment: Segment, places: Sequence[str], table: Name | None = None) -> Sightings:
        """What may be an original in something that will be released.

        Args:
            segment: Rows of it.
            places: What to call each column.
            table: The table that the rows are of, if of one.
        """
        units = {
            watch.number: self._filter.held(self._collected(watch, segment, None).units)
            for watch in (self._watches.get(table, ()) if table else ())
        }
        grams, columns = segment.scan(self._filter, np.flatnonzero(self._lengths).astype(np.uint16), self._key)
        return Sightings(units, grams, columns, places)

    def note(self, sightings: Sightings) -> None:
        """Keep what `examine` found."""
        self._waiting.append(sightings)
        if sum(waiting.grams.size for waiting in self._waiting) > _MOST_SIGHTINGS:
            self._compare()

    def _compare(self) -> None:
        """Hold what the filter let through against the originals themselves."""
        for sightings in self._waiting:
            for number, units in sightings.units.items():
                self._survivors[number] += self._units[number].among(units)
        by_place: dict[str, list[Digests]] = {}
        for sightings in self._waiting:
            for column in np.unique(sightings.columns):
                place = sightings.places[int(column)]
                by_place.setdefault(place, []).append(sightings.grams[sightings.columns == column])
        self._waiting = []
        for told, parts in by_place.items():
            grams = np.concatenate(parts)
            for number, store in self._grams.items():
                if times := store.among(grams):
                    elsewhere = self._elsewhere[number]
                    elsewhere[told] = elsewhere.get(told, 0) + times

    def conclude(self) -> list[ColumnProof]:
        """What was found, one entry a watch, each without survivors.

        Raises:
            Fault: DATA, naming columns and counts, when an original survives.
        """
        self._compare()
        proofs = [
            ColumnProof(
                watch,
                self._units[watch.number].size,
                self._survivors[watch.number],
                self._elsewhere.get(watch.number, {}),
            )
            for watch in self._all
        ]
        if told := [text for proof in sorted(proofs, key=lambda proof: proof.watch.name) for text in _told(proof)]:
            more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
            raise Fault(
                ExitCode.DATA,
                "proof failed, and nothing is released: original values survive: "
                f"{'; '.join(told[:_MOST_TOLD])}{more}. Scrub these places too; where the values are nobody's, the"
                " column's proof: per_column, per_row or none says so",
            )
        return proofs


def _told(proof: ColumnProof) -> list[str]:
    """Where a column's originals survive."""
    name = proof.watch.name
    told = [f"{name} in {proof.survivors} of its own values"] if proof.survivors else []
    return told + [
        f"{name} in {where}, {times} {'time' if times == 1 else 'times'}"
        for where, times in sorted(proof.elsewhere.items())
        if not (proof.survivors and where == name)
    ]


def proof_document(proofs: Sequence[ColumnProof], unproved: Sequence[Unproved]) -> dict[str, Any]:
    """As it stands in the manifest."""
    columns = [proof.document() for proof in proofs] + [column.document() for column in unproved]
    columns.sort(key=lambda column: (column["table"], column["column"], column.get("paths", [])))
    return {"result": "passed", "columns": columns}
