"""Any number of digests in little memory: what does not fit lies sorted on the scratch disk, gone with it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from etl_runtime.proof.kernel import Digests

_PART = 1 << 20
"""Digests that are looked at together, 8 MiB of them."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted digests on the disk; the mapping holds their file, which has no name any more."""

    digests: Digests
    mapping: mmap.mmap

    def forget(self) -> None:
        """Let go of the pages that were looked at: they are on the disk, and a run's memory is bounded."""
        self.mapping.madvise(mmap.MADV_DONTNEED)


class DigestPool:
    """Where stores keep their digests; the largest one goes to disk when there are too many in memory.

    Args:
        directory: An existing directory of the run's own.
        most: Digests of all stores together that stay in memory.
    """

    def __init__(self, directory: Path, most: int = 2 << 20) -> None:
        self._directory = directory
        self._most = most
        self._stores: list[DigestStore] = []

    def store(self) -> DigestStore:
        """A new, empty store."""
        store = DigestStore(self)
        self._stores.append(store)
        return store

    def written(self, run: Digests) -> _Run:
        """The digests, on the disk; their file has a name of its own, whatever other pools write beside it."""
        with NamedTemporaryFile(prefix="digests-", dir=self._directory) as file:
            run.tofile(file)
            file.flush()
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _Run(np.frombuffer(mapping, np.uint64), mapping)

    def make_room(self) -> None:
        """Write stores to disk, the largest first, until few enough digests are in memory."""
        while sum(store.in_memory for store in self._stores) > self._most:
            max(self._stores, key=lambda store: store.in_memory).spill()


class DigestStore:
    """A bag of digests; NULL is not taken. Made by a pool."""

    def __init__(self, pool: DigestPool) -> None:
        self._pool = pool
        self._chunks: list[Digests] = []
        self._runs: list[_Run] = []
        self.in_memory = 0
        self.size = 0

    def add(self, digests: Digests) -> None:
        """Put digests in, each as often as it is there."""
        kept = digests[digests != 0]
        if not kept.size:
            return
        self._chunks.append(kept)
        self.in_memory += kept.size
        self.size += kept.size
        self._pool.make_room()

    def spill(self) -> None:
        """Leave the memory."""
        run = np.sort(np.concatenate(self._chunks))
        self._runs.append(self._pool.written(run))
        self._chunks, self.in_memory = [], 0

    def _sorted(self) -> list[Digests]:
        if len(self._chunks) > 1 or (self._chunks and not _is_sorted(self._chunks[0])):
            self._chunks = [np.sort(np.concatenate(self._chunks))]
        return [*(run.digests for run in self._runs), *self._chunks]

    def _forget(self) -> None:
        for run in self._runs:
            run.forget()

    def _part(self, low: int, high: int) -> Digests:
        """The digests from `low` to below `high`, sorted."""
        found: list[Digests] = []
        for run in self._sorted():
            start = np.searchsorted(run, np.uint64(low), "left")
            end = np.searchsorted(run, np.uint64(high - 1), "right")
            if end > start:
                found.append(np.asarray(run[start:end]))
        if not found:
            return np.empty(0, np.uint64)
        return found[0] if len(found) == 1 else np.sort(np.concatenate(found))

    def _ranges(self, other: DigestStore | None = None) -> Iterator[tuple[int, int]]:
        parts = 1
        while max(self.size, other.size if other else 0) > parts * _PART:
            parts *= 2
        width = (1 << 64) // parts
        return ((number * width, (number + 1) * width) for number in range(parts))

    def among(self, candidates: Digests) -> int:
        """How many of the candidates are in the store, counting each as often as it is there."""
        if not candidates.size or not self.size:
            return 0
        candidates = np.sort(candidates)
        found = 0
        for run in self._sorted():
            # What one run has is not counted again in the next.
            at = np.searchsorted(run, candidates)
            at[at == run.size] = 0
            hit = np.asarray(run[at]) == candidates
            found += int(hit.sum())
            candidates = candidates[~hit]
        self._forget()
        return found

    def missing_from(self, other: DigestStore) -> int:
        """How many of the digests are not in another store."""
        missing = 0
        for low, high in self._ranges(other):
            mine, theirs = self._part(low, high), other._part(low, high)
            if not theirs.size:
                missing += mine.size
            elif mine.size:
                at = np.searchsorted(theirs, mine)
                at[at == theirs.size] = 0
                missing += int((theirs[at] != mine).sum())
            self._forget()
            other._forget()
        return missing

    def repeated(self) -> int:
        """How many digests are there beside the first of their value."""
        repeated = 0
        for low, high in self._ranges():
            part = self._part(low, high)
            repeated += int((part[1:] == part[:-1]).sum())
            self._forget()
        return repeated


def _is_sorted(digests: Digests) -> bool:
    return bool((digests[1:] >= digests[:-1]).all())
