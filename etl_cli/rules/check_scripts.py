"""What is left to the scripts is done by one of them."""

from __future__ import annotations

from collections.abc import Iterator

from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection
from etl_cli.rules.script_effects import ScriptEffects


def check_scripts(inspection: Inspection, effects: ScriptEffects) -> Iterator[Finding]:
    """Scripted columns that no script sets; a warning where the scripts do what their text does not tell."""
    for table in inspection.kept:
        for name, (_, rule) in table.changed.items():
            if rule.kind != "scripted" or effects.assigns(table.table, name):
                continue
            subject = f"{table.table.name}.{name}"
            if effects.may_assign(table.table, name):
                yield inspection.warning(
                    "script", rule.line, subject, "is left to the scripts; one inserts rows, and none sets the column"
                )
            elif effects.unsure:
                place, what = effects.unsure[0]
                yield inspection.warning(
                    "script",
                    rule.line,
                    subject,
                    f"is left to the scripts, and none sets it, unless {what} at {place} does",
                )
            else:
                yield inspection.error("script", rule.line, subject, "is left to the scripts, and none sets it")
