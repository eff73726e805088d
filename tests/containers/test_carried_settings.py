from __future__ import annotations

import pytest
from etl_runtime.carried_settings import list_elements


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        ("public", ["public"]),
        ('"$user", public', ["$user", "public"]),
        ('"My Schema", "a, b", "say ""hi"""', ["My Schema", "a, b", 'say "hi"']),
        ('""', [""]),
        ("a,b", ["a", "b"]),
    ],
)
def test_a_list_of_names_is_read_as_it_is_stored(stored: str, names: list[str]) -> None:
    assert list_elements(stored) == names
