"""The page of access: who may do what to which resource, as the policies of all stacks together give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from etl_runtime import contract

from etl_infra.documents.access_matrix import Right, access_matrix, may
from etl_local.documentation.markdown import code, page, table
from etl_local.rendering.recorded_stack import RecordedStack

_PREFACE: Final = """\
<!-- `make docs` writes this page from the policies that the stacks register. -->
# Access

Who may do what to which resource, derived from the policies that the three stacks register: a right stands here if
every policy that has a say allows it. Identifiers that only a cloud could give are made up from names. What does not
stand here, this project gives nobody; other policies of an account may."""
_DUMPS: Final = """
## Dumps

In short, who reads and writes the files of dumps, and their manifests, which hold names, counts and digests alone.
"""
_FILE: Final = "toc.dat"
"""Any file of a dump but its manifest."""


def registered_rights(stacks: Mapping[str, RecordedStack]) -> list[Right]:
    """Every right that the policies of these stacks give, of roles and services.

    Args:
        stacks: the recorded stacks by environment; rights across accounts need both sides.
    """
    return access_matrix({name: stack.deployment.resources for name, stack in stacks.items()})


def dump_buckets(stacks: Mapping[str, RecordedStack]) -> dict[str, str]:
    """Bucket of dumps → a load environment whose dumps it holds."""
    buckets: dict[str, str] = {}
    for environment, stack in stacks.items():
        outputs = stack.deployment.outputs
        if "extract_bucket" in outputs:
            buckets[outputs["extract_bucket"]] = min(outputs["load_buckets"])
        if "load_bucket" in outputs:
            buckets[outputs["load_bucket"]] = environment
    return buckets


def access_page(rights: Sequence[Right], buckets: Mapping[str, str]) -> str:
    """The page: who reaches dumps, then a section for each principal.

    Args:
        rights: all of them, in any order.
        buckets: bucket of dumps → a load environment whose dumps it holds.
    """
    sections: defaultdict[str, defaultdict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for right in rights:
        sections[right.principal][right.resource, right.condition].add(right.action)
    lines = [_PREFACE, _DUMPS, *table(("Bucket", "Who", "Files", "Manifests"), _reaching_dumps(rights, buckets))]
    for principal, reached in sorted(sections.items()):
        rows = [
            (code(resource), ", ".join(map(code, sorted(actions))), condition)
            for (resource, condition), actions in sorted(reached.items())
        ]
        lines += ["", f"## {principal}", "", *table(("Resource", "Actions", "Only when"), rows)]
    return page(*lines)


def _reaching_dumps(rights: Sequence[Right], buckets: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    for bucket, environment in sorted(buckets.items()):
        dump = contract.DumpPrefix(environment, "execution", contract.DUMP_FILENAME)
        file, manifest = (f"arn:aws:s3:::{bucket}/{key}" for key in (dump.key(_FILE), dump.manifest_key))
        for principal in sorted({right.principal for right in rights}):
            cells = (_reads_and_writes(rights, principal, file), _reads_and_writes(rights, principal, manifest))
            if any(cells):
                yield code(bucket), principal, *cells


def _reads_and_writes(rights: Sequence[Right], principal: str, resource: str) -> str:
    verbs = {"reads": "s3:GetObject", "writes": "s3:PutObject", "deletes": "s3:DeleteObject"}
    return ", ".join(verb for verb, action in verbs.items() if may(rights, principal, action, resource))
