from __future__ import annotations

import pytest
from etl_runtime.faults import Fault
from etl_runtime.script_variables import ScriptVariables, named_texts


def test_names_and_texts_are_read_from_json() -> None:
    assert named_texts('{"cutoff": "2025-01-01", "Owner_2": "it\'s"}') == {"cutoff": "2025-01-01", "Owner_2": "it's"}
    assert named_texts("") == {}


@pytest.mark.parametrize(
    "text",
    ["[]", '"x"', '{"a-b": "x"}', '{"1a": "x"}', '{"a": 1}', '{"a": null}', '{"": "x"}', '{"a": "\\u0000"}', "{"],
)
def test_what_is_no_object_of_names_and_texts_is_refused_without_its_values(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has an entry|Expecting"):
        named_texts(text)


def test_psql_gets_values_by_its_environment_and_names_by_a_script() -> None:
    variables = ScriptVariables.read({"cutoff": "2025"}, {"token": "arn:secret"}, lambda secret: f"value of {secret}")
    assert variables.environment == {
        "ETL_SCRIPT_VARIABLE_cutoff": "2025",
        "ETL_SCRIPT_VARIABLE_token": "value of arn:secret",
    }
    assert variables.script == (
        "\\getenv cutoff ETL_SCRIPT_VARIABLE_cutoff\n\\getenv token ETL_SCRIPT_VARIABLE_token\n"
    )
    assert "value of" not in repr(variables)


def test_an_empty_secret_is_refused_by_its_variable() -> None:
    with pytest.raises(Fault, match="the secret of the scripts' variable token is empty"):
        ScriptVariables.read({}, {"token": "x"}, lambda _: "")


def test_a_secret_in_a_message_stands_as_its_variable() -> None:
    variables = ScriptVariables({"town": "Leeds"}, {"token": "hush", "longer": "hush-hush\nsecond line"})
    assert variables.hidden('column "hush-hush" of Leeds, hush, second line') == (
        'column ":longer" of Leeds, :token, :longer'
    )
