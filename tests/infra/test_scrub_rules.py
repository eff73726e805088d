"""The rules' files against what a ConfigMap takes, which only the cluster would say otherwise, minutes later."""

from pathlib import Path

import pytest

from etl_infra.documents.scrub_rules import MOST_BYTES, faults


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "columns.yaml").write_text("version: 1\n")
    (tmp_path / "10_people.sql").write_text("-- café\n")
    (tmp_path / "of another kind.txt").write_bytes(b"\xff")
    return tmp_path


def test_files_that_a_config_map_takes_have_no_faults(rules: Path) -> None:
    assert faults(rules) == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("20_latin.sql", b"SELECT 1;\nSELECT 'caf\xe9';\n", "20_latin.sql:2: not UTF-8 text"),
        ("20 people.sql", b"", "'20 people.sql' must be named by letters, digits, '-', '_' and '.' alone"),
        ("..20.sql", b"", "'..20.sql' must be named by letters, digits, '-', '_' and '.' alone"),
        ("20_große.sql", b"", r"'20_gro\xdfe.sql' must be named by letters, digits, '-', '_' and '.' alone"),
    ],
)
def test_a_file_that_a_config_map_does_not_take_is_named(rules: Path, name: str, content: bytes, told: str) -> None:
    (rules / name).write_bytes(content)
    assert faults(rules) == [told]


def test_what_cannot_be_read_is_named(rules: Path) -> None:
    (rules / "20_directory.sql").mkdir()
    (rules / "30_gone.sql").symlink_to("nowhere")
    assert faults(rules) == [
        "20_directory.sql cannot be read: Is a directory",
        "30_gone.sql cannot be read: No such file or directory",
    ]


def test_all_files_together_may_fill_a_config_map_and_not_a_byte_more(rules: Path) -> None:
    others = sum((rules / name).stat().st_size for name in ("columns.yaml", "10_people.sql"))
    (rules / "20_large.sql").write_bytes(b"-" * (MOST_BYTES - others))
    assert faults(rules) == []
    (rules / "30_small.sql").write_bytes(b"-")
    assert faults(rules) == ["the files hold 1,048,577 bytes, and a ConfigMap takes 1,048,576"]
