from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from etl_runtime.contract import (
    DISPATCHED_ENV,
    REQUIRED_ENV,
    TRANSFORM_CONTAINER,
    ContractError,
    CreatedObject,
    DumpPrefix,
    LoadBucket,
    created_object,
    event_records,
    execution_label,
    execution_name,
    load_buckets,
    load_buckets_text,
    rules_digest,
    scrub_files,
    source_annotation,
    transform_job_name,
)

HOSTILE = {
    "a path that climbs": "../x",
    "an absolute path": "/etc/passwd",
    "a shell command": "a;rm -rf",
    "an option": "-l",
    "an encoded path": "%2e%2e",
    "unicode": "dév/été/dump",
    "2000 characters": "a" * 2000,
    "an address": "s3://other/dev/x/etl-dump",
    "a line end": "dev/x/etl-dump\n",
    "a substitution": "dev/$(id)/etl-dump",
    "a NUL": "dev/x\0/etl-dump",
    "climbing in the middle": "dev/../etl-dump",
    "an option as filename": "dev/x/-l",
    "a hidden file": "dev/x/.etl-dump",
    "a part too many": "dev/x/etl-dump/",
    "an empty part": "dev//etl-dump",
    "another case": "Prod/x/etl-dump",
    "a space at the end": "prod /x/etl-dump",
    "fullwidth letters": "ｄev/x/etl-dump",  # noqa: RUF001 - the point of it
    "nothing": "",
}


def test_a_dump_prefix_survives_its_text_form() -> None:
    prefix = DumpPrefix("dev", "a-b_C-1", "etl-dump")
    assert str(prefix) == "dev/a-b_C-1/etl-dump"
    assert DumpPrefix.parse(str(prefix)) == prefix
    assert DumpPrefix.of_manifest(prefix.manifest_key) == prefix
    assert prefix.manifest_key == "dev/a-b_C-1/etl-dump/manifest.json"
    assert prefix.key("3341.dat.gz") == "dev/a-b_C-1/etl-dump/3341.dat.gz"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_dump_prefix_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ContractError) as refusal:
        DumpPrefix.parse(text)
    assert len(str(refusal.value)) < 200
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_key_of_a_manifest_is_refused_where_its_prefix_is(text: str) -> None:
    with pytest.raises(ContractError):
        DumpPrefix.of_manifest(f"{text}/manifest.json")


@pytest.mark.parametrize("key", ["dev/x/etl-dump/toc.dat", "dev/x/etl-dump/manifest.json.bak", "manifest.json", ""])
def test_another_key_than_a_manifest_s_is_refused(key: str) -> None:
    with pytest.raises(ContractError):
        DumpPrefix.of_manifest(key)


@pytest.mark.parametrize("part", range(3))
def test_each_part_of_a_prefix_has_a_longest_form(part: int) -> None:
    longest = ["a" * 16, "b" * 80, "c" * 63]
    DumpPrefix(*longest)
    longest[part] += "x"
    with pytest.raises(ContractError):
        DumpPrefix(*longest)


def test_an_execution_s_name_is_the_last_part_of_its_id() -> None:
    assert (
        execution_name("arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1")
        == "nightly-1"
    )
    assert execution_name("nightly-1") == "nightly-1"


@pytest.mark.parametrize("text", ["", "arn:aws:states:", "a b", "a/b", "é", "x" * 81, "a\n"])
def test_an_execution_id_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        execution_name(text)


def test_load_buckets_survive_their_text_form() -> None:
    buckets = {"sbx": LoadBucket("clean-sbx", "123456789012"), "dev": LoadBucket("clean-dev", "210987654321")}
    text = load_buckets_text(buckets)
    assert json.loads(text) == {
        "dev": {"bucket": "clean-dev", "owner": "210987654321"},
        "sbx": {"bucket": "clean-sbx", "owner": "123456789012"},
    }
    assert load_buckets(text) == buckets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dev",
        "[]",
        '"dev"',
        '{"dev": "clean"}',
        '{"dev": []}',
        '{"dev": {"bucket": "clean"}}',
        '{"dev": {"bucket": "clean", "owner": 123456789012}}',
        '{"dev": {"bucket": "", "owner": "123456789012"}}',
    ],
)
def test_load_buckets_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ContractError, match=r"^LOAD_BUCKETS must be JSON such as "):
        load_buckets(text)


def _record(**changes: Any) -> dict[str, Any]:
    return {
        "eventVersion": "2.4",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-2",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "raw", "ownerIdentity": {"principalId": "A3EXAMPLE"}},
            "object": {"key": "dev/x/etl-dump/manifest.json", "size": 4, "versionId": "v1"},
        },
        **changes,
    }


def _version(version_id: Any) -> dict[str, Any]:
    return _record(s3={"bucket": {"name": "raw"}, "object": {"key": "x", "versionId": version_id}})


def _object(key: str, version_id: str = "v1") -> CreatedObject:
    return CreatedObject(bucket="raw", key=key, version_id=version_id, region="eu-west-2")


def created_objects(body: str) -> list[CreatedObject]:
    """The objects of a message's records."""
    return [created_object(record) for record in event_records(body) or []]


def test_the_test_event_of_s3_names_no_object() -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": "raw"}
    assert event_records(json.dumps(event)) is None


def test_every_record_of_a_message_is_read() -> None:
    second = _record()
    second["s3"]["object"] = {"key": "dev/y/etl-dump/manifest.json"}
    assert created_objects(json.dumps({"Records": [_record(), second]})) == [
        _object("dev/x/etl-dump/manifest.json"),
        _object("dev/y/etl-dump/manifest.json", ""),
    ]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%252Fb", "a%2Fb"),
        ("%C3%A9", "é"),
        ("e%CC%81", "e\u0301"),
        ("%2e%2e/x", "../x"),
        ("a%00b", "a\0b"),
    ],
)
def test_a_key_is_decoded_once(encoded: str, key: str) -> None:
    record = _record()
    record["s3"]["object"]["key"] = encoded
    assert created_objects(json.dumps({"Records": [record]})) == [_object(key)]


JUNK = {
    "no JSON": "hello",
    "nothing": "",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "too deep": "[" * 100_000,
    "no records": "{}",
    "empty records": '{"Records": []}',
    "records as text": '{"Records": "x"}',
    "a record as text": '{"Records": ["x"]}',
    "a record as null": '{"Records": [null]}',
    "wrapped by SNS": json.dumps({"Type": "Notification", "Message": json.dumps({"Records": [_record()]})}),
    "wrapped by EventBridge": json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}),
    "a removal": json.dumps({"Records": [_record(eventName="ObjectRemoved:Delete")]}),
    "another source": json.dumps({"Records": [_record(eventSource="aws:sns")]}),
    "no object": json.dumps({"Records": [_record(s3={"bucket": {"name": "raw"}})]}),
    "a version with a newline": json.dumps({"Records": [_version("v\n")]}),
    "a version beyond ASCII": json.dumps({"Records": [_version("\ud800")]}),
    "a version too long": json.dumps({"Records": [_version("v" * 1025)]}),
    "a version that is no text": json.dumps({"Records": [_version(1)]}),
    "no UTF-8": json.dumps({"Records": [_record(s3={"bucket": {"name": "raw"}, "object": {"key": "%ff"}})]}),
    "the second record is bad": json.dumps({"Records": [_record(), {}]}),
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK.keys())
def test_a_message_of_another_form_is_refused(body: str) -> None:
    with pytest.raises(ContractError) as refusal:
        created_objects(body)
    assert len(str(refusal.value)) < 100


@pytest.mark.parametrize("key", ["dev/x/etl-dump/manifest.json", "é" * 500, "k" * 1024, "a\0b"])
def test_a_job_s_name_is_a_dns_label_whatever_the_key(key: str) -> None:
    name = transform_job_name("b" * 63, key, "v" * 1024, "e" * 16)
    assert len(name) <= 63
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
    assert name == transform_job_name("b" * 63, key, "v" * 1024, "e" * 16)


def test_a_job_s_name_depends_on_each_part_of_the_dump_s_identity() -> None:
    names = {
        transform_job_name(*identity)
        for identity in (
            ("raw", "k", "v", "dev"),
            ("ra", "wk", "v", "dev"),
            ("raw", "kv", "", "dev"),
            ("raw", "k", "w", "dev"),
            ("raw", "k", "v", "sbx"),
        )
    }
    assert len(names) == 5
    assert transform_job_name("raw", "k", "v", "dev") == "etl-dev-aab10ce39e63fc3659908e005a43f691c251636c"


def test_an_execution_has_one_label_by_its_arn_and_by_its_name() -> None:
    arn = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1"
    assert execution_label(arn) == execution_label("nightly-1") != execution_label("nightly-2")


@pytest.mark.parametrize("text", ["", "-leading", "é" * 80, "x" * 500, "a b;c"])
def test_an_execution_s_label_is_a_label_whatever_the_id(text: str) -> None:
    label = execution_label(text)
    assert 0 < len(label) <= 63
    assert set(label) <= set(string.hexdigits.lower())


def test_a_source_annotation_names_the_very_version() -> None:
    assert source_annotation("raw", "dev/x/etl-dump/manifest.json", "v1") == (
        "s3://raw/dev/x/etl-dump/manifest.json?versionId=v1"
    )


def test_a_digest_of_rules_covers_names_bytes_and_order_of_its_files_and_nothing_else(tmp_path: Path) -> None:
    def digest(files: dict[str, str]) -> str:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        for name, content in files.items():
            (directory / name).write_text(content)
        return rules_digest(directory)

    rules = {"columns.yaml": "version: 1\n", "10.sql": "SELECT 1;", "20.sql": "SELECT 2;"}
    same = digest(rules)
    assert digest(dict(reversed(rules.items()))) == same
    assert digest({**rules, "README.md": "no rule"}) == same
    others = [
        {**rules, "columns.yaml": "version: 1 \n"},
        {**rules, "30.sql": ""},
        {**rules, "10.sql": "SELECT 2;", "20.sql": "SELECT 1;"},
        {"columns.yaml": rules["columns.yaml"], "10.sql": "SELECT 1;20.sql\0SELECT 2;"},
        {"columns.yaml": rules["columns.yaml"], "11.sql": "SELECT 1;", "20.sql": "SELECT 2;"},
    ]
    assert len({same, *map(digest, others)}) == 6


def test_rules_mounted_by_kubernetes_have_the_digest_of_their_directory(tmp_path: Path) -> None:
    """A ConfigMap's files are links into a directory of the mount whose name begins with dots."""
    plain, mounted = tmp_path / "plain", tmp_path / "mounted"
    (mounted / "..2026_01_01").mkdir(parents=True)
    plain.mkdir()
    (mounted / "..data").symlink_to("..2026_01_01")
    for name in ("columns.yaml", "10.sql"):
        (plain / name).write_text(name)
        (mounted / "..data" / name).write_text(name)
        (mounted / name).symlink_to(f"..data/{name}")
    assert [path.name for path in scrub_files(mounted)] == ["10.sql", "columns.yaml"]
    assert rules_digest(mounted) == rules_digest(plain)


def test_what_the_dispatcher_stamps_is_required_by_the_transform() -> None:
    assert REQUIRED_ENV[TRANSFORM_CONTAINER] >= DISPATCHED_ENV
