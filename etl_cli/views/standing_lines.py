"""How things stand, for people: a few lines for each run, then the queues."""

from __future__ import annotations

from rich.text import Text

from etl_cli.dumps import totals_of
from etl_cli.events import Stage, State
from etl_cli.quantities import count_text, moment_text, seconds_text
from etl_cli.standing import RunStanding, Standing, Work
from etl_cli.views.phrases import totals_phrase

_STYLES = {State.SUCCEEDED: "green", State.RUNNING: "cyan", State.WAITING: "dim"}


def standing_lines(standing: Standing) -> list[Text]:
    """How things stand, for people."""
    lines: list[Text] = []
    for run in standing.runs:
        lines += [*_run_lines(run), Text()]
    if standing.absence:
        lines += [Text(standing.absence), Text()]
    if standing.queue is not None:
        lines.append(Text(f"queue: {standing.queue.waiting:,} waiting, {standing.queue.in_flight:,} in flight"))
    if standing.dead_letters is not None:
        letters = standing.dead_letters.waiting + standing.dead_letters.in_flight
        lines.append(Text(f"dead letters: {letters:,}", style="bold red" if letters else ""))
    return lines + [Text(f"not seen: {text}", style="yellow") for text in standing.unseen]


def _run_lines(run: RunStanding) -> list[Text]:
    lines = [Text.assemble((run.execution_name, "bold"), f"  {run.environment}".rstrip())]
    if run.undone:
        lines.append(Text(f"  undoes     the load of {run.undone}"))
    for stage in (Stage.LOAD,) if run.undone else Stage:
        work = run.work.get(stage)
        name = "rollback" if run.undone else stage
        lines.append(_work_line(name, work) if work else Text(f"  {stage:<9}  not run", style="dim"))
    for name, manifest in (("raw", run.raw), ("clean", run.clean)):
        if manifest is not None:
            proof = ""
            if manifest.cleaning is not None:
                columns = count_text(len(manifest.cleaning.proof.get("columns", [])), "scrubbed column")
                proof = f" · proof {manifest.cleaning.proof.get('result')} ({columns})"
            lines.append(Text(f"  {name:<9}  {totals_phrase(totals_of(manifest))}{proof}"))
    return lines


def _work_line(name: str, work: Work) -> Text:
    took = f" in {seconds_text((work.ended_at - work.started_at).total_seconds())}" if work.ended_at else ""
    reason = f": {work.reason}" if work.reason else ""
    state = (f"{work.state}{took}{reason}", _STYLES.get(work.state, "bold red"))
    return Text.assemble(f"  {name:<9}  ", state, f" · since {moment_text(work.started_at)}")
