"""What was measured, for a terminal, as a page and as a picture. Every figure is a run's."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

_LABELS = {
    "naive, stock server": "restore all, UPDATE, dump: a server as it comes",
    "naive, tuned server": "the same, on a server with our scratch settings",
    "pynonymizer": "restore all, pynonymizer, dump",
    "pganonymize": "restore all, pganonymize, dump",
    "floor": "floor: decompress and recompress the personal files",
    "floor by zlib": "the same by zlib, which Postgres and Python have",
    "ours": "transform, with its proof",
    "ours without the proof": "transform, its proof taken out",
}
_WIDTH, _ROW, _LEFT = 900, 34, 370


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be reached, and what was."""

    what: str
    found: float
    bound: str
    reached: bool
    unit: str = " x"

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.found:.2f}{self.unit} (target {self.bound}: {'reached' if self.reached else 'MISSED'})"
        )


def median(way: Mapping[str, Any], figure: str = "seconds") -> float | None:
    """Of a figure of all runs; None where there is no run."""
    return statistics.median(run[figure] for run in way["runs"]) if way["runs"] else None


def steps(way: Mapping[str, Any]) -> dict[str, float]:
    """Median seconds by step."""
    names = dict.fromkeys(name for run in way["runs"] for name in run["steps"])
    return {name: statistics.median(run["steps"].get(name, 0.0) for run in way["runs"]) for name in names}


def targets(result: Mapping[str, Any]) -> list[Target]:
    """Each ratio beside what it should be; one that lacks a run is left out."""
    seconds = {name: median(way) for name, way in result["ways"].items()}
    ours, unproved = (seconds.get(name) for name in ("ours", "ours without the proof"))
    if ours is None:
        return []
    found = [
        Target(f"{name} / ours", value / ours, "≥ 10 x", value / ours >= 10)
        for name, value in seconds.items()
        if name.startswith("naive") and value is not None
    ]
    for name in ("floor", "floor by zlib"):
        if (floor := seconds.get(name)) is not None:
            found.append(Target(f"ours / {name}", ours / floor, "≤ 1.5 x", ours / floor <= 1.5))
    if unproved is not None:
        more = 100 * (ours / unproved - 1)
        found.append(Target("the proof, on top of ours without it", more, "≤ 25 %", more <= 25, " %"))
    growth = {name: median(case) for name, case in result["growth"].items()}
    base, others = growth.get("base"), growth.get("other rows x 2")
    if base is not None and others is not None:
        more = 100 * (others / base - 1)
        found.append(Target("other rows x 2, more time", more, "< 5 %", more < 5, " %"))
    own = max(run["own_mib"] for run in result["ways"]["ours"]["runs"])
    found.append(Target("own memory at its highest", own, "< 200 MiB", own < 200, " MiB"))
    return found


def written(result: Mapping[str, Any]) -> str:
    """For the terminal."""
    ours = median(result["ways"].get("ours", {"runs": []}))
    lines = ["", _told_of(result), "", f"{'':<52}{'seconds':>9}{'/ ours':>9}{'CPU s':>9}{'runs':>6}"]
    for name, way in _ways(result):
        value = median(way)
        if value is None:
            lines.append(f"{_LABELS[name]:<52}{way['stopped']}")
        else:
            ratio = f"{value / ours:9.2f}" if ours else f"{'':>9}"
            lines.append(f"{_LABELS[name]:<52}{value:9.1f}{ratio}{_counted(way)}  {way['stopped']}")
    for name, case in result["growth"].items():
        value, base = median(case), median(result["growth"]["base"])
        if value is None or base is None:
            lines.append(f"{'growth: ' + name:<52}{case['stopped']}")
        else:
            lines.append(f"{'growth: ' + name:<52}{value:9.1f}{value / base:9.2f}{_counted(case)}  of its base")
    if result["ways"].get("ours", {"runs": []})["runs"]:
        way = result["ways"]["ours"]
        lines += ["", _cpu(way), *(f"  {seconds:8.2f} s  {step}" for step, seconds in steps(way).items())]
    return "\n".join([*lines, "", f"Personal rows: {compared(result['same_rows'])}", "", *map(str, targets(result))])


def compared(same: Mapping[str, Any]) -> str:
    """What came of comparing the rows that several ways gave."""
    if len(same["compared"]) < 2:
        return "not compared"
    return f"those of {'; '.join(same['compared'])} are {'the same' if same['same'] else 'NOT THE SAME'}"


def _counted(way: Mapping[str, Any]) -> str:
    return f"{median(way, 'cpu') or 0:9.1f}{len(way['runs']):6}"


def _ways(result: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, result["ways"][name]) for name in _LABELS if name in result["ways"]]


def _told_of(result: Mapping[str, Any]) -> str:
    database, machine = result["database"], result["machine"]
    return (
        f"{database['bytes'] / 1e6:,.0f} MB in {database['tables']} tables,"
        f" {database['personal_bytes'] / database['bytes']:.0%} of it in three personal ones"
        f" ({database['personal_rows']:,} rows); Postgres {machine['postgres']}, {machine['codec']};"
        f" {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB"
    )


def _cpu(way: Mapping[str, Any]) -> str:
    python, postgres = median(way, "python_cpu"), median(way, "postgres_cpu")
    own, server = (max(run[figure] for run in way["runs"]) for figure in ("own_mib", "postgres_mib"))
    return (
        f"transform: {python:.1f} s of CPU in Python, {postgres:.1f} s in Postgres; at most {own:.0f} MiB in Python"
        f" and {server:.0f} MiB in Postgres"
    )


def write_page(result: Mapping[str, Any], picture: Path) -> None:
    """Write the picture, and the page around it beside it."""
    picture.write_text(_svg(result), encoding="utf-8")
    picture.with_suffix(".md").write_text(_markdown(result, picture.name), encoding="utf-8")


def _svg(result: Mapping[str, Any]) -> str:
    bars = [(_LABELS[name], value, name) for name, way in _ways(result) if (value := median(way)) is not None]
    longest = max((value for _, value, _ in bars), default=1.0)
    height = _ROW * len(bars) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        ' aria-label="Seconds that each way takes">',
        "<style>text{font:14px system-ui,sans-serif;fill:#24292f}.ours{fill:#1a7f37}.other{fill:#8c959f}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#3fb950}.other{fill:#6e7681}}</style>",
    ]
    for number, (label, value, name) in enumerate(bars):
        top = 10 + number * _ROW
        length = max(round((_WIDTH - _LEFT - 80) * value / longest, 1), 1)
        kind = "ours" if name.startswith("ours") else "other"
        parts += [
            f'<text x="{_LEFT - 10}" y="{top + 18}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top + 3}" width="{length}" height="{_ROW - 12}" rx="2"/>',
            f'<text x="{_LEFT + length + 8}" y="{top + 18}">{value:,.0f} s</text>'
            if value >= 10
            else f'<text x="{_LEFT + length + 8}" y="{top + 18}">{value:.1f} s</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, tuple(marks), *rows)]


def _markdown(result: Mapping[str, Any], picture: str) -> str:
    options, ours = result["options"], median(result["ways"]["ours"])
    rows: list[tuple[str, ...]] = []
    for name, way in _ways(result):
        value = median(way)
        taken = [f"{step} {seconds:.1f}" for step, seconds in steps(way).items()] if not name.startswith("ours") else []
        told = "; ".join([*taken, *([way["stopped"]] if way["stopped"] else [])])
        ratio = f"{value / ours:.2f}" if value and ours else ""
        seconds, cpu = ("" if figure is None else f"{figure:.1f}" for figure in (value, median(way, "cpu")))
        rows.append((_LABELS[name], seconds, ratio, cpu, str(len(way["runs"])), told))
    grown: list[tuple[str, ...]] = []
    base = median(result["growth"]["base"]) if result["growth"] else None
    for name, case in result["growth"].items():
        value, database = median(case), case["database"]
        grown.append(
            (
                name,
                f"{database['bytes'] / 1e6:,.0f}",
                f"{database['personal_bytes'] / 1e6:,.0f}",
                str(database["tables"]),
                case["stopped"] if value is None else f"{value:.1f}",
                f"{value / base:.2f}" if value and base else "",
                f"{steps(case).get('publishing', 0.0):.1f}",
            )
        )
    lines = [
        "# What cleaning costs",
        "",
        "Written by `python bench/transform.py --picture` from one run of it; no figure here is set by hand.",
        "",
        f"![Seconds that each way takes]({picture})",
        "",
        f"{_told_of(result)}. Medians of interleaved rounds: {options['rounds']} of ours and the floor,"
        f" {options['slow_rounds']} of the others.",
        "",
        *_table(("way", "seconds", "/ ours", "CPU seconds", "runs", "of which"), rows),
        "",
        "## What was to be reached",
        "",
        *_table(
            ("", "found", "target", ""),
            [
                (t.what, f"{t.found:.2f}{t.unit}", t.bound, "reached" if t.reached else "missed")
                for t in targets(result)
            ],
        ),
        "",
        "## Where our time goes",
        "",
        f"{_cpu(result['ways']['ours'])}.",
        "",
        *_table(("step", "seconds"), [(name, f"{value:.2f}") for name, value in steps(result["ways"]["ours"]).items()]),
    ]
    if grown:
        head = ("database", "MB", "personal MB", "tables", "seconds", "/ base", "of which publishing")
        lines += ["", "## How it grows", "", *_table(head, grown)]
    lines += [
        "",
        "## What is compared",
        "",
        "- All ways use two jobs, the same Postgres programs and the same codec at the same level.",
        "- The other ways have the dump on local disk and leave theirs there. Ours reads S3 and writes S3, a stand-in"
        " on the same machine that shares its cores; what is copied inside the stand-in takes their time, too.",
        "- `UPDATE` runs the very expressions and functions of our rules, two tables at a time. Personal rows:"
        f" {compared(result['same_rows'])}.",
        "- The other tools get what is nearest in them to our rules. pynonymizer is called once a table, as version"
        " 2.5.0 updates all tables again for each table of a strategy. Neither proves anything of what it leaves.",
        "- The floor reads and writes the three personal files on local disk, two at a time, and changes nothing: by"
        " the codecs that ours has (gzip by ISA-L), and by zlib.",
        "- Without the proof: the originals are not gathered and not looked for; the cleaned files are read again for"
        " their rows and digests, and keys are checked.",
        "- Memory is what the processes hold together, taken five times a second; shared buffers count once.",
    ]
    return "\n".join([*lines, ""])
