from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from etl_runtime.faults import Terminated
from etl_runtime.private_directory import PrivateDirectory


def _filled(parent: Path) -> None:
    with PrivateDirectory(dir=parent) as name:
        directory = Path(name)
        (directory / "toc.dat").touch()
        assert (list(parent.iterdir()), directory.stat().st_mode & 0o777) == ([directory], 0o700)


def test_it_is_its_user_s_own_and_gone_afterwards(tmp_path: Path) -> None:
    _filled(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_during_its_removal_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise Terminated

    monkeypatch.setattr(TemporaryDirectory, "_rmtree", interrupted)
    with pytest.raises(Terminated):
        _filled(tmp_path)
    assert list(tmp_path.iterdir()) == []
