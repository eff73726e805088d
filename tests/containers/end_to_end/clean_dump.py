"""What a transform left in a bucket, read back the way a load would read it."""

from __future__ import annotations

import gzip
import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from etl_runtime.toc import Toc, read_toc

from tests.containers.end_to_end.programs import Programs


@dataclass(frozen=True)
class CleanDump:
    """One dump of a bucket: its objects by name."""

    objects: dict[str, bytes]
    launchers: Path

    @classmethod
    def read(cls, programs: Programs, bucket: str, prefix: str = "dev/nightly/etl-dump") -> CleanDump:
        objects = {key.removeprefix(f"{prefix}/"): body for key, body in programs.objects(bucket).items()}
        return cls(objects, programs.launchers)

    @property
    def exists(self) -> bool:
        return "manifest.json" in self.objects

    @cached_property
    def manifest(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.objects["manifest.json"])
        return document

    @cached_property
    def toc(self) -> Toc:
        return read_toc(self.objects["toc.dat"])

    def file(self, table: str) -> str:
        """The name of a table's file."""
        (name,) = [file["name"] for file in self.manifest["files"] if file["table"] == table]
        return str(name)

    def rows(self, table: str) -> list[list[str]]:
        r"""A table's rows as they are written: fields of COPY text, `\N` for null."""
        text = gzip.decompress(self.objects[self.file(table)]).decode()
        body, end = text[:-5], text[-5:]
        assert end == "\\.\n\n\n"
        return [line.split("\t") for line in body.split("\n")[:-1]]

    def plan(self) -> dict[str, str]:
        """Table → path."""
        return {step["table"]: step["path"] for step in self.manifest["plan"]}

    def script(self) -> str:
        """The whole dump as one SQL text, as pg_restore writes it."""
        with tempfile.TemporaryDirectory() as directory:
            for name, body in self.objects.items():
                (Path(directory) / name).write_bytes(body)
            argv = [self.launchers / "pg_restore", "--file=-", directory]
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
