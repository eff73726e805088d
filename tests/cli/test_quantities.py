"""Quantities as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from etl_cli.quantities import bytes_text, count_text, moment_text, seconds_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (9_870, "9.87 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (21_340_000, "21.3 MB"),
        (2_260_000_000, "2.26 GB"),
        (3.2e12, "3.2 TB"),
        (5e15, "5,000 TB"),
    ],
)
def test_bytes_have_three_figures_and_a_decimal_unit(count: float, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7860, "2 h 11 min"),
    ],
)
def test_durations_have_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_counts_mark_thousands_and_know_the_plural() -> None:
    assert [count_text(1, "row"), count_text(0, "row"), count_text(12_345, "row"), count_text(1_000)] == [
        "1 row",
        "0 rows",
        "12,345 rows",
        "1,000",
    ]


def test_moments_are_told_in_utc() -> None:
    summer = datetime(2026, 7, 1, 13, 0, 7, 999, tzinfo=timezone(timedelta(hours=1)))
    assert moment_text(summer) == moment_text(summer.astimezone(UTC)) == "2026-07-01T12:00:07Z"
