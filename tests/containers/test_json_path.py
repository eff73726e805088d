from __future__ import annotations

import pytest
from etl_runtime.json_path import JsonPathError, PathStep, Step, json_path_steps

KEY = Step.KEY


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.a", (PathStep(KEY, "a"),)),
        ("$.Buyer Name.é", (PathStep(KEY, "Buyer Name"), PathStep(KEY, "é"))),
        ('$."a.b"."*"', (PathStep(KEY, "a.b"), PathStep(KEY, "*"))),
        ("$.*.a", (PathStep(Step.ANY_KEY), PathStep(KEY, "a"))),
        ("$[*][12].a", (PathStep(Step.ANY_ELEMENT), PathStep(Step.ELEMENT, index=12), PathStep(KEY, "a"))),
        ("$.a.**.b.c", (PathStep(KEY, "a"), PathStep(Step.DESCEND, "b"), PathStep(KEY, "c"))),
        ('$.**."b c"[*]', (PathStep(Step.DESCEND, "b c"), PathStep(Step.ANY_ELEMENT))),
        ("$.**.a.**.a", (PathStep(Step.DESCEND, "a"), PathStep(Step.DESCEND, "a"))),
    ],
)
def test_a_path_is_a_sequence_of_steps(path: str, steps: tuple[PathStep, ...]) -> None:
    assert json_path_steps(path) == steps


@pytest.mark.parametrize(
    "path",
    ["", "a", "$a", "$.", "$..a", "$.a.", "$.a[", "$.a[b]", "$.a[-1]", "$.**", "$.**.*", "$.**[1]", "$.**.**.a", 
     "$.a b[c",     '$."a', '$.""', "$[1", "$[1234567890]", "$[\u0661]", "$.a\n[", " $.a"],
)  # fmt: skip
def test_a_path_that_scrub_json_does_not_take_is_an_error(path: str) -> None:
    with pytest.raises(JsonPathError) as error:
        json_path_steps(path)
    assert str(error.value) == (f"{path!a} is not a JSON path that scrub.json understands, such as $.contacts[*].email")
