"""The generated pages of docs/ say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from etl_runtime import contract
from etl_runtime.contract import Env, ExitCode

from etl_infra.documents.access_matrix import Right
from etl_infra.documents.baseline import BASELINE, Exemption
from etl_infra.documents.exemptions import EXEMPTIONS
from etl_local.documentation.access_page import access_page, dump_buckets, registered_rights
from etl_local.documentation.baseline_page import baseline_page
from etl_local.documentation.configuration_page import configuration_page
from etl_local.documentation.contract_page import contract_page, variables_read
from etl_local.documentation.default_settings import components, with_default_settings
from etl_local.documentation.markdown import table
from etl_local.documentation.pages import pages
from etl_local.documentation.variable_givers import variable_givers
from etl_local.rendering.recorded_stack import REPOSITORY, RecordedStack
from etl_local.rendering.stack_document import Document

COMMAND = "make docs"


def test_every_page_is_fresh(stacks: dict[str, RecordedStack]) -> None:
    stale = [
        str(path.relative_to(REPOSITORY))
        for path, text in pages(stacks).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], f"run `{COMMAND}`"


def test_every_key_stands_in_the_section_that_its_file_puts_it_in(tmp_path: Path) -> None:
    project = tmp_path / "Pulumi.yaml"
    project.write_text(
        "name: toy\n"
        "config:\n"
        "  # --- the environment ---\n"
        "  region:\n    type: string\n    default: eu-west-2\n    description: Where.\n"
        "  subnets:\n    type: array\n    items:\n      type: string\n    description: Two | or more.\n"
        "\n"
        "  # --- extract ---\n"
        "  salt:\n    type: string\n    secret: true\n    default: ''\n    description: Salt.\n"
        "  images:\n    default: {}\n    description: By digest.\n"
    )
    assert configuration_page(project).partition("\n## ")[2] == (
        "The environment\n"
        "\n"
        "| Key | Type | Default | Meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `region` | string | `eu-west-2` | Where. |\n"
        "| `subnets` | list of strings | **required** | Two \\| or more. |\n"
        "\n"
        "## Extract\n"
        "\n"
        "| Key | Type | Default | Meaning |\n"
        "| --- | --- | --- | --- |\n"
        '| `salt` | string, secret | `""` | Salt. |\n'
        "| `images` | object | `{}` | By digest. |\n"
    )


def test_every_key_of_the_project_is_on_the_page_once() -> None:
    page = configuration_page(REPOSITORY / "Pulumi.yaml")
    keys = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert keys == list(yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"])


def right(principal: str, action: str, resource: str, condition: str = "") -> Right:
    return Right(principal=principal, action=action, resource=resource, condition=condition)


def test_rights_are_grouped_by_who_has_them() -> None:
    page = access_page(
        [
            right("role-b", "s3:GetObject", "arn:b"),
            right("role-a", "s3:PutObject", "arn:b"),
            right("role-a", "s3:GetObject", "arn:b"),
            right("role-a", "kms:Decrypt", "arn:a", "through s3"),
        ],
        {},
    )
    heads = "| Resource | Actions | Only when |\n| --- | --- | --- |\n"
    assert page.partition("\n## role-a\n")[2] == (
        f"\n{heads}"
        "| `arn:a` | `kms:Decrypt` | through s3 |\n"
        "| `arn:b` | `s3:GetObject`, `s3:PutObject` |  |\n"
        f"\n## role-b\n\n{heads}"
        "| `arn:b` | `s3:GetObject` |  |\n"
    )


def test_who_reaches_dumps_stands_at_the_top() -> None:
    page = access_page(
        [
            right("dumper", "s3:PutObject", "arn:aws:s3:::raw/*"),
            right("dumper", "s3:GetObject", "arn:aws:s3:::raw/*/manifest.json"),
            right("loader", "s3:GetObject", "arn:aws:s3:::clean/dev/*"),
            right("sleeper", "s3:ListBucket", "arn:aws:s3:::raw"),
        ],
        {"raw": "dev", "clean": "dev"},
    )
    assert (
        "| Bucket | Who | Files | Manifests |\n"
        "| --- | --- | --- | --- |\n"
        "| `clean` | loader | reads | reads |\n"
        "| `raw` | dumper | writes | reads, writes |\n"
        "\n## dumper\n"
    ) in page


def test_raw_dumps_are_read_by_the_transform_of_their_account_alone(stacks: dict[str, RecordedStack]) -> None:
    page = access_page(registered_rights(stacks), dump_buckets(stacks))
    reading = re.findall(r"^\| `(\S+-extract-\S+)` \| (\S+) \| reads", page, re.MULTILINE)
    assert [who for _, who in reading] == ["postgres-etl-transform-dev", "postgres-etl-transform-prod"]
    assert "deletes" not in page


def test_what_is_left_out_stands_below_what_holds_with_its_reason() -> None:
    left_out = Exemption(row="Box", setting="a lock", reason="It has no lid.", rules=("X_1", "X_2"), resources="*-box")
    always = Exemption(row="Lid", setting="a lid", reason="It is a box.")
    page = baseline_page({"Box": ("a box is closed", "a box is green"), "Lid": ()}, [always, left_out])
    assert page.partition("\n## ")[2] == (
        "Box\n\n- a box is closed\n- a box is green\n\n"
        "| Left out | Why | Demanded by | Of |\n"
        "| --- | --- | --- | --- |\n"
        "| a lock | It has no lid. | `X_1`, `X_2` | `*-box` |\n"
        "\n## Lid\n\n"
        "| Left out | Why | Demanded by | Of |\n"
        "| --- | --- | --- | --- |\n"
        "| a lid | It is a box. |  |  |\n"
    )


def test_every_exemption_belongs_to_a_row_of_the_page() -> None:
    page = baseline_page(BASELINE, EXEMPTIONS)
    assert [exemption.setting for exemption in EXEMPTIONS if f"\n| {exemption.setting} |" not in page] == []


def test_every_required_variable_is_one_that_the_program_reads() -> None:
    for program, required in contract.REQUIRED_ENV.items():
        assert required <= variables_read(program), program


def test_every_required_variable_has_a_giver(documents: dict[str, Document]) -> None:
    givers = variable_givers(documents["dev"])
    for program, required in contract.REQUIRED_ENV.items():
        assert required <= set(givers[program]), program
    assert givers[contract.PG_DUMP_CONTAINER][Env.EXECUTION_ID] == "state machine"
    assert givers[contract.TRANSFORM_CONTAINER][Env.EXECUTION_ID] == "dispatcher"


def test_every_name_variable_and_exit_code_is_on_the_contracts_page(documents: dict[str, Document]) -> None:
    page = contract_page(documents["dev"])
    for text in (contract.QUEUE_NAME, contract.LOAD_STATE_MACHINE_NAME, *Env, *(code.name for code in ExitCode)):
        assert f"`{text}`" in page


@pytest.mark.parametrize(
    "component", [c.name for c in components(REPOSITORY / "etl_infra") if "components" in str(c.module)]
)
def test_every_component_says_what_it_does_by_default(component: str) -> None:
    (found,) = [c for c in components(REPOSITORY / "etl_infra") if c.name == component]
    assert found.summary
    assert found.defaults


def test_default_settings_are_the_bullets_of_a_docstring(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    (package / "components").mkdir(parents=True)
    (package / "components" / "box.py").write_text(
        "class Box(pulumi.ComponentResource):\n"
        '    """A box\n'
        "    of things.\n"
        "\n"
        "    Defaults:\n"
        "        - closed\n"
        "        - green: outside,\n"
        "          and inside\n"
        '    """\n'
        "class Other:\n"
        '    """No component."""\n'
    )
    (box,) = components(package)
    assert (box.name, box.summary, box.defaults) == (
        "Box",
        "A box of things.",
        ["closed", "green: outside, and inside"],
    )
    marks = re.findall("<!--.*?-->", (REPOSITORY / "docs" / "architecture.md").read_text())
    begin, end = marks[-2:]
    written = with_default_settings(f"before\n{begin}\nold\n{end}\nafter\n", package)
    assert written == (
        f"before\n{begin}\n\n### Box\n\nA box of things. `toy/components/box.py`\n\n"
        f"- closed\n- green: outside, and inside\n\n{end}\nafter\n"
    )
    assert with_default_settings(written, package) == written


def test_a_page_without_its_marks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs <!--"):
        with_default_settings("no marks", tmp_path)


def test_a_bar_in_a_text_makes_no_column_and_an_angle_bracket_no_tag() -> None:
    assert table(("A",), [("x | y\nz",), ("<a> `<b>`",)]) == [
        "| A |", "| --- |", "| x \\| y z |", "| &lt;a> `<b>` |",
    ]  # fmt: skip


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs").glob("*.md")), ids=lambda path: path.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
