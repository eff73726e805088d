"""The runbook against the program: every alarm has its section, and what it says to type exists."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main
from etl_runtime.dispatch_metrics import DispatchMetrics

from etl_cli.main import app
from etl_local.rendering.everything import EVERYTHING
from etl_local.rendering.recorded_stack import REPOSITORY
from etl_local.rendering.stack_document import Document

RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8")
CODE = re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", RUNBOOK, re.DOTALL)
LINES = [line.strip() for block, span in CODE for line in (block or span).splitlines()]


def sections(title: str) -> dict[str, str]:
    """Heading → text of the sections below a title."""
    part = RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def whole(documents: dict[str, Document]) -> dict[str, Any]:
    """Every resource of a stack that has all there is."""
    return documents[EVERYTHING]["resources"]


def named(whole: dict[str, Any], kind: str, stack: str) -> set[str]:
    """The physical names of a kind, with the stack left open as the runbook leaves it."""
    names = {r["inputs"]["name"] for r in whole.values() if r["type"].lower().endswith(f":{kind}")}
    assert names
    assert all(name.endswith(f"-{stack}") for name in names)
    return {f"{name.removesuffix(stack)}<stack>" for name in names}


def stack_of(whole: dict[str, Any]) -> str:
    (topic,) = [r["inputs"]["name"] for r in whole.values() if r["type"].lower().endswith(":topic")]
    return topic.rpartition("-")[2]


def test_every_alarm_of_the_program_has_its_section_and_every_section_its_alarm(whole: dict[str, Any]) -> None:
    alarms = named(whole, "metricalarm", stack_of(whole))
    told = {name for heading in sections("Alarms") for name in re.findall(r"`(.+?)`", heading)}
    beside = set(re.findall(r"`(postgres-etl-[\w-]+-key-unheard-<stack>)`", RUNBOOK))
    assert told | beside == alarms
    assert all(text.strip() for text in sections("Alarms").values())


def test_the_runbook_tells_every_call_after_which_a_key_may_be_lost(whole: dict[str, Any]) -> None:
    rules = [r["inputs"]["eventPattern"] for r in whole.values() if r["type"].lower().endswith(":eventrule")]
    calls = {call for rule in rules for call in rule["detail"]["eventName"]}
    (notice,) = sections("Notices").values()
    assert {call for call in calls if call not in notice} <= {"DisableKeyRotation"}
    assert "its rotation stopped" in notice


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    source = "".join(
        (REPOSITORY / "containers" / "etl_runtime" / f"{name}.py").read_text()
        for name in ("dispatcher", "dump_source", "jobs")
    )
    reasons = set(re.findall(r"(?:Rejected|JobRefused)\(f?\"(\w+)", source)) - {"kubernetes_"}
    assert reasons == {
        *("another_bucket", "another_region", "collision", "contract", "invalid"),
        *("key", "manifest", "unknown_environment", "version"),
    }
    table = sections("Alarms")["`postgres-etl-dead-letters-<stack>`"]
    explained = {
        name for row in re.findall(r"^   \| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert explained == reasons | {"kubernetes_403", "kubernetes_422"}


def test_every_command_of_ours_exists_with_the_options_that_are_given() -> None:
    root = typer.main.get_command(app)
    commands = [line for line in LINES if line.startswith("postgres-etl ")]
    assert len(commands) >= 8
    for line in commands:
        words = line.split()[1:]
        command: Any = root
        while words and (group := getattr(command, "commands", None)):
            assert words[0] in group, line
            command = group[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_make_target_and_setting_that_is_named_exists() -> None:
    settings = set(re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "docs" / "configuration.md").read_text(), re.MULTILINE))
    camel = {span for _, span in CODE if re.fullmatch(r"[a-z]+[A-Z]\w+", span)}
    assert camel - {"userIdentity"} <= settings
    assert len(camel) >= 10


def test_every_metric_that_is_watched_exists() -> None:
    registered = {sample.name for metric in DispatchMetrics().registry.collect() for sample in metric.samples} | {
        f"{metric.name}_total" for metric in DispatchMetrics().registry.collect() if metric.type == "counter"
    }
    watched = set(re.findall(r"postgres_etl_dispatcher_\w+", RUNBOOK))
    assert len(watched) >= 6
    assert watched <= registered


def test_every_log_event_that_is_named_is_one_of_the_dispatcher() -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "containers" / "etl_runtime").glob("*.py"))
    for event in ("jobs_not_listed", "queue_not_received", "postponed", "held", "not_reconciled"):
        assert f"`{event}`" in RUNBOOK
        assert f'"{event}"' in source


def test_every_page_that_is_linked_exists() -> None:
    for page, _, anchor in re.findall(r"\]\(([\w./-]+)(#([\w-]+))?\)", RUNBOOK):
        text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)
        }
        assert not anchor or anchor in headings
