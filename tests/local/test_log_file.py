"""A log beside the real one: on a disk without space it is silent, and nobody else notices."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from etl_local.log_file import LogFile, LogFileHandler

FULL = Path("/dev/full")
"""Every write to it fails as one to a full disk does (full(4)): https://man7.org/linux/man-pages/man4/full.4.html"""


def test_lines_are_there_as_soon_as_they_were_put(tmp_path: Path) -> None:
    with LogFile(tmp_path / "log") as log:
        log.put("one")
        log.put("zwei \ud800")
        assert (tmp_path / "log").read_text() == "one\nzwei ?\n"


def test_a_full_disk_takes_no_line_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(FULL)
    with LogFile(tmp_path / "log") as log:
        log.put("one")


def test_a_file_that_cannot_be_made_ends_nothing(tmp_path: Path) -> None:
    with LogFile(tmp_path / "none" / "log") as log:
        log.put("one")


def test_a_message_that_cannot_be_written_is_not_told_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").symlink_to(FULL)
    logger = logging.Logger("of a test")
    handler = LogFileHandler(tmp_path / "log", delay=True)
    logger.addHandler(handler)
    logger.error("one")
    handler.close()
    assert capfd.readouterr() == ("", "")
