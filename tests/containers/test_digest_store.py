from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from etl_runtime.proof import digest_store
from etl_runtime.proof.digest_store import DigestPool

CHOICE = np.random.default_rng(7)


@pytest.fixture(params=[10, 1 << 20], ids=["on disk", "in memory"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> DigestPool:
    return DigestPool(tmp_path, request.param)


def digests(count: int, most: int = 2**64) -> np.ndarray:
    return CHOICE.integers(1, most, count, np.uint64)


def test_null_is_not_taken_and_the_rest_is_counted_as_often_as_it_is_there(pool: DigestPool) -> None:
    store = pool.store()
    store.add(np.array([0, 5, 5, 0, 9], np.uint64))
    store.add(np.array([0], np.uint64))
    assert store.size == 3
    assert (store.repeated(), store.among(np.array([5, 9, 7], np.uint64))) == (1, 2)


def test_candidates_in_the_store_are_counted_each_time(pool: DigestPool) -> None:
    store = pool.store()
    one, two = digests(100), digests(100)
    store.add(one)
    store.add(two)
    store.add(one)  # what two runs both have counts once
    others = digests(50)
    assert store.among(np.concatenate([one[:7], others, two[:3], one[:2]])) == 12
    assert store.among(others) == 0
    assert store.among(np.empty(0, np.uint64)) == 0
    assert pool.store().among(one) == 0


def test_repeats_and_what_is_missing_are_as_plain_python_counts_them(pool: DigestPool) -> None:
    for most in (40, 2**64):
        mine, theirs = pool.store(), pool.store()
        left, right = digests(300, most), digests(300, most)
        for start in range(0, 300, 30):
            mine.add(left[start : start + 30])
            theirs.add(right[start : start + 30])
        assert mine.repeated() == sum(count - 1 for count in Counter(left.tolist()).values())
        assert mine.missing_from(theirs) == sum(value not in set(right.tolist()) for value in left.tolist())
    assert mine.missing_from(pool.store()) == 300
    assert pool.store().missing_from(mine) == 0


def test_the_digests_of_the_ends_of_the_range_are_in_some_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_store, "_PART", 1000)
    pool = DigestPool(tmp_path, 1)
    mine, theirs = pool.store(), pool.store()
    many = digests(5000)
    mine.add(np.array([1, 2**64 - 1, 2**64 - 1, 2**63, 2**63 - 1], np.uint64))
    mine.add(many)
    theirs.add(mine._part(0, 2**64))
    assert mine.missing_from(theirs) == 0
    assert mine.repeated() == 1 + many.size - np.unique(many).size


def test_two_pools_of_one_directory_keep_their_digests_apart(tmp_path: Path) -> None:
    mine, others = DigestPool(tmp_path, 1).store(), DigestPool(tmp_path, 1).store()
    for _ in range(3):
        left, right = digests(100), digests(100)
        mine.add(left)
        others.add(right)
        assert (mine.among(left), mine.among(right), others.among(right)) == (100, 0, 100)


def test_what_lies_on_the_disk_is_in_memory_only_while_it_is_looked_at(tmp_path: Path) -> None:
    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssFile:"))) << 10

    store = DigestPool(tmp_path, 1000).store()
    kept = digests(1 << 20)
    store.add(kept)
    before = resident()
    assert store.among(kept) == kept.size
    assert store.repeated() == 0
    assert resident() - before < kept.nbytes / 4
