from __future__ import annotations

import pytest
from etl_runtime.table_shape import is_about


@pytest.mark.parametrize(
    ("text", "column", "about"),
    [
        ("(email ~~ '%@%'::text)", "email", True),
        ('("Card ""last4""" IS NOT NULL)', 'Card "last4"', True),
        ("(\"E Mail\" <> ''::text)", "E Mail", True),
        ("(total > 0)", "email", False),
    ],
)
def test_a_condition_is_about_the_columns_that_it_names_however_they_are_quoted(
    text: str, column: str, about: bool
) -> None:
    assert is_about(text, [column]) is about
