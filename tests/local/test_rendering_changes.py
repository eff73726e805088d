"""The difference of two renderings: what a reviewer is told, and what he is warned of."""

from __future__ import annotations

from typing import Any

from etl_local.rendering.changes import Changes, Renamed, changes
from etl_local.rendering.properties import property_changes

BUCKET = "aws:s3/bucket:Bucket"


def document(**resources: dict[str, Any]) -> dict[str, Any]:
    """A rendering; `__` in a name stands for the step down to a child."""
    places = {name.replace("__", " / "): resource for name, resource in resources.items()}
    return {"stack": "toy", "exports": {"bucket": "b"}, "lookups": ["f {}"], "resources": places}


def component(kind: str = "Box", **options: Any) -> dict[str, Any]:
    return {"type": f"etl:index:{kind}", **options}


def bucket(name: str = "b", **options: Any) -> dict[str, Any]:
    return {"type": BUCKET, **options, "inputs": {"bucket": name}}


def test_equal_renderings_have_no_changes() -> None:
    same = changes(document(box=component(), box__b=bucket()), document(box=component(), box__b=bucket()))
    assert not same
    assert same == Changes(unchanged=2)
    assert same.lines("toy") == ["toy: nothing changed, 2 as before"]


def test_what_came_went_and_changed_is_told_apart() -> None:
    before = document(kept=bucket(), gone=bucket("gone"), altered=bucket("old"))
    after = document(kept=bucket(), come=component(), altered=bucket("new", protect=True))
    found = changes(before, after)
    assert found == Changes(
        added={"come": "etl:index:Box"},
        removed={"gone": BUCKET},
        changed={"altered": ["!    bucket: old → new", "+    (protect): true"]},
        unchanged=1,
    )
    assert found.lines("toy") == [
        "toy: 1 added, 1 removed, 1 changed, 1 as before",
        "+ come  (etl:index:Box)",
        f"- gone  ({BUCKET})",
        "! altered",
        "!    bucket: old → new",
        "+    (protect): true",
    ]


def test_exports_and_lookups_are_compared_as_well() -> None:
    before, after = document(), document()
    after |= {"exports": {"store": "b"}, "lookups": ["g {}"]}
    assert changes(before, after).changed == {
        "exports": ["-    exports.bucket: b", "+    exports.store: b"],
        "lookups": ["-    lookups: f {}", "+    lookups: g {}"],
    }


def test_a_resource_of_another_type_is_another_resource() -> None:
    found = changes(document(b=bucket()), document(b={"type": "aws:sqs/queue:Queue", "inputs": {}}))
    assert (found.added, found.removed) == ({"b": "aws:sqs/queue:Queue"}, {"b": BUCKET})


def test_below_a_component_of_another_type_every_child_is_another_resource() -> None:
    before = document(box=component("Box"), box__b=bucket())
    after = document(box=component("Chest"), box__b=bucket())
    found = changes(before, after)
    assert set(found.added) == set(found.removed) == {"box", "box / b"}


def test_an_alias_carries_a_component_and_its_children_over() -> None:
    before = document(box=component(), box__b=bucket())
    after = document(
        chest=component(aliases=["etl:index:Box::box"]), chest__b=bucket("new", aliases=[f"etl:index:Box${BUCKET}::b"])
    )
    # the children's identity holds their parent's type, not its name
    found = changes(before, after)
    assert (found.added, found.removed, found.warnings) == ({}, {}, [])
    assert found.renamed == [Renamed("box", "chest"), Renamed("box / b", "chest / b")]
    assert found.changed == {"chest / b": ["!    bucket: b → new"]}
    assert "! box is now chest, the same resource" in found.lines("toy")


def test_an_alias_carries_a_resource_that_was_moved() -> None:
    before, after = document(b=bucket()), document(box=component(), box__b=bucket(aliases=[f"{BUCKET}::b"]))
    found = changes(before, after)
    assert found.renamed == [Renamed("b", "box / b")]
    assert (found.added, found.removed) == ({"box": "etl:index:Box"}, {})


def test_an_alias_that_names_what_is_still_there_carries_nothing() -> None:
    found = changes(document(a=bucket()), document(a=bucket(), b=bucket("other", aliases=[f"{BUCKET}::a"])))
    assert (found.added, found.renamed) == ({"b": BUCKET}, [])


def test_an_alias_that_is_dropped_later_changes_nothing() -> None:
    assert not changes(document(a=bucket(aliases=["x::y"])), document(a=bucket()))


def test_a_rename_without_an_alias_is_a_warning() -> None:
    found = changes(document(old=bucket()), document(new=bucket()))
    assert found.warnings == ["old looks renamed to new without an alias: it would be deleted, and created anew"]
    assert found.lines("toy")[1].startswith("! WARNING old looks renamed")
    assert changes(document(old=bucket("one")), document(new=bucket("two"))).warnings == []


def test_what_is_protected_cannot_just_go() -> None:
    found = changes(document(b=bucket(protect=True)), document())
    assert found.warnings == ["b is protected: `pulumi up` refuses to delete it"]


def test_two_resources_of_one_place_are_told_apart_by_their_types() -> None:
    before = document(a=component(), **{f"a ({BUCKET})": bucket()})
    assert changes(before, before) == Changes(unchanged=2)


def test_statements_are_told_apart_by_their_sids() -> None:
    old = {"Statement": [{"Sid": "A", "Action": ["x", "y"]}, {"Sid": "C", "Action": ["z"]}]}
    new = {"Statement": [{"Sid": "B", "Action": ["w"]}, {"Sid": "A", "Action": ["x"]}, {"Sid": "C", "Action": ["z"]}]}
    assert property_changes(old, new) == [
        "-    Statement[A].Action: y",
        "+    Statement[B]:",
        "+      Sid: B",
        "+      Action: [w]",
    ]


def test_members_without_a_name_are_told_apart_by_their_number() -> None:
    assert property_changes({"rules": [{"days": 1}]}, {"rules": [{"days": 2}, {"days": 3}]}) == [
        "!    rules[0].days: 1 → 2",
        "+    rules[1]:",
        "+      days: 3",
    ]


def test_another_order_is_a_change_too() -> None:
    assert property_changes({"a": [1, 2]}, {"a": [2, 1]}) == [
        "!    a: the same in another order, or another number of times"
    ]
    assert property_changes({"a": [{"id": "x"}, {"id": "y"}]}, {"a": [{"id": "y"}, {"id": "x"}]}) == [
        "!    a: the same in another order"
    ]
    assert property_changes({"a": [1]}, {"a": [1, 1]}) != []


def test_a_value_of_another_kind_is_shown_whole() -> None:
    assert property_changes({"a": "*"}, {"a": {"AWS": ["x"]}}) == ["-    a: '*'", "+    a:", "+      AWS: [x]"]
    assert property_changes({"a": []}, {"a": "x"}) == ["-    a: []", "+    a: x"]


def test_text_and_number_are_not_the_same() -> None:
    assert property_changes({"cpu": 4}, {"cpu": "4"}) == ["!    cpu: 4 → '4'"]
