from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers.api_server import ApiServer
from tests.containers.dispatch_cluster import dispatch_cluster
from tests.containers.dispatch_soak import Soak

pytestmark = pytest.mark.end_to_end


def test_whatever_is_killed_broken_lost_or_sent_twice_each_dump_is_transformed_once(
    moto_endpoint: str, kubernetes_api: ApiServer, tmp_path: Path
) -> None:
    """Three dispatchers; what is junk, and nothing else, ends among the dead letters."""
    with dispatch_cluster(kubernetes_api, tmp_path) as cluster:
        outcome = Soak(moto_endpoint, cluster, tmp_path, seed=7).run(60, kills=3, patience=55)
    assert (outcome.lost, outcome.effects, outcome.letters) == (set(), {}, set())
    assert outcome.starts >= 60
    assert outcome.kills >= 1
    assert outcome.faults >= 5
