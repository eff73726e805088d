"""Dead letters for people: which dumps one names and why it is here, and no other word of its body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etl_runtime.contract import ContractError, DumpPrefix, created_object, event_records
from etl_runtime.dead_letters import DeadLetter

from etl_cli.ending import RefusedError
from etl_cli.quantities import count_text, moment_text, seconds_text

_LONGEST_KEY = 120


@dataclass(frozen=True, slots=True)
class NamedDump:
    """A dump that a record names; empty texts for what its key does not tell."""

    key: str
    version_id: str
    execution_name: str
    environment: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter read: its body may be anybody's, so of it only names of the agreed form are shown."""

    letter: DeadLetter
    dumps: Sequence[NamedDump]
    reason: str

    @classmethod
    def read(cls, letter: DeadLetter) -> Letter:
        """Read a letter."""
        dumps, faults = _named_dumps(letter.body)
        unknown = f"received {count_text(letter.receives, 'time')} without a Job; the dispatcher's log says why"
        return cls(letter, dumps, letter.reason or "; ".join(faults) or unknown)

    def age_seconds(self, now: datetime) -> float:
        """Since it was first sent."""
        return max(now.timestamp() - self.letter.sent_at, 0)

    def document(self, now: datetime) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "event": "dead_letter",
            "id": self.letter.id,
            "reason": self.reason,
            "receives": self.letter.receives,
            "sent_at": moment_text(datetime.fromtimestamp(self.letter.sent_at, UTC)),
            "age_seconds": round(self.age_seconds(now)),
            "dumps": [
                {
                    "key": dump.key,
                    "version_id": dump.version_id,
                    "execution_name": dump.execution_name,
                    "environment": dump.environment,
                }
                for dump in self.dumps
            ],
        }

    def line(self, now: datetime) -> str:
        """In one line: id, age, what it is of, why it is here."""
        of = ", ".join(dump.execution_name or dump.key for dump in self.dumps) or "no dump"
        return f"{self.letter.id}  {seconds_text(self.age_seconds(now))} old  {of}: {self.reason}"

    def lines(self, now: datetime) -> list[str]:
        """In full."""
        sent = moment_text(datetime.fromtimestamp(self.letter.sent_at, UTC))
        told = [
            f"id         {self.letter.id}",
            f"reason     {self.reason}",
            f"received   {count_text(self.letter.receives, 'time')}",
            f"sent       {sent}, {seconds_text(self.age_seconds(now))} ago",
        ]
        for dump in self.dumps:
            told.append(f"dump       {dump.key}")
            if dump.version_id:
                told.append(f"version    {dump.version_id}")
            if dump.execution_name:
                told.append(f"execution  {dump.execution_name}, to load into {dump.environment}")
        return told


def _named_dumps(body: str) -> tuple[list[NamedDump], list[str]]:
    """The dumps that a message names, and what is wrong with it."""
    dumps: list[NamedDump] = []
    faults: list[str] = []
    try:
        records = event_records(body) or []
    except ContractError as error:
        return [], [f"contract: {error}"]
    for record in records:
        try:
            created = created_object(record)
        except ContractError as error:
            faults.append(f"contract: {error}")
            continue
        try:
            prefix = DumpPrefix.of_manifest(created.key)
            dumps.append(NamedDump(created.key, created.version_id, prefix.execution_name, prefix.load_environment))
        except ContractError as error:
            faults.append(f"key: {error}")
            # of another form than ours: shown so that it can be no command of a terminal
            dumps.append(NamedDump(ascii(created.key[:_LONGEST_KEY]), created.version_id, "", ""))
    return dumps, faults


def chosen(letters: Sequence[Letter], names: Sequence[str]) -> list[Letter]:
    """The letters that are meant: each name is an id, the beginning of one, or an execution's name.

    Raises:
        RefusedError: a name means no letter, or the beginning of an id more than one.
    """
    found: dict[str, Letter] = {}
    for name in names:
        meant = [letter for letter in letters if name in {dump.execution_name for dump in letter.dumps}]
        if not meant:
            meant = [letter for letter in letters if letter.letter.id.startswith(name)]
            if len(meant) > 1:
                raise RefusedError(f"{name!a} begins the ids of {len(meant)} dead letters: write more of it")
        if not meant:
            raise RefusedError(f"there is no dead letter {name!a}; `postgres-etl dlq list` shows them all")
        found |= {letter.letter.id: letter for letter in meant}
    return list(found.values())
