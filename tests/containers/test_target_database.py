from __future__ import annotations

import pytest
from etl_runtime.postgres import Access
from etl_runtime.settings.database import Database
from etl_runtime.target_database import TargetDatabase


def _target(
    name: str, execution_id: str = "arn:aws:states:eu-west-2:123456789012:execution:x:load-1"
) -> TargetDatabase:
    database = Database(
        host="target.example.com",
        port=5432,
        name=name,
        user="etl_load",
        password="x",
        authentication="secret",
        sslmode="verify-full",
        sslrootcert="/etc/postgres-etl/rds-ca.pem",
    )
    return TargetDatabase(Access(database, "eu-west-2"), execution_id)


def test_a_load_s_names_are_those_of_its_execution() -> None:
    target = _target("marketplace")
    assert (target.live, target.load, target.old) == (
        "marketplace",
        "marketplace_load_fa8e4b917606",
        "marketplace_old_fa8e4b917606",
    )
    assert _target("marketplace", "load-1").load == target.load
    assert _target("marketplace", "load-2").load != target.load


@pytest.mark.parametrize("name", ["x" * 63, "é" * 31, "日" * 21])
def test_a_load_s_names_are_no_longer_than_postgres_takes(name: str) -> None:
    """Postgres cuts a longer one, and two names would become one."""
    target = _target(name)
    assert len(target.load.encode()) <= 63
    assert len(target.old.encode()) <= 63
    assert target.load != target.old


def test_targets_whose_long_names_begin_alike_do_not_meet() -> None:
    """A load drops what broken loads into its own target left, and that alone."""
    one, other = _target("x" * 50 + "_orders"), _target("x" * 50 + "_people")
    assert len({one.load, one.old, other.load, other.old}) == 4
    assert one._left_over.fullmatch(one.load)
    assert one._left_over.fullmatch(other.load) is None
