"""One Postgres server program, run as an ordinary user although its caller is root.

`initdb` and `postgres` refuse to run as root. The launchers that `postgres_installation` writes call `run`, which
gives the paths among the arguments to the ordinary user, becomes that user and turns into the real program: same
process id, same standard streams, so its caller sees no difference. Imported under `python -I -S` and started very
often, so it uses only what the interpreter has loaded anyway.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import NoReturn


def run(binary: str, uid: int, gid: int, within: str) -> NoReturn:
    """Become `binary` under `uid` and `gid`, with this process's arguments and environment.

    Args:
        binary: absolute path of the real program, reachable by `uid`.
        uid: the ordinary user.
        gid: its group.
        within: absolute path of the only directory below which anything is given to `uid`.
    """
    arguments = sys.argv[1:]
    try:
        _prepare(os.path.realpath(within), binary, arguments, uid, gid)
        os.execv(binary, [binary, *arguments])  # noqa: S606
    except OSError as error:
        sys.exit(f"{sys.argv[0]}: cannot run as user {uid}: {error}")


def _prepare(within: str, binary: str, arguments: list[str], uid: int, gid: int) -> None:
    if os.path.basename(binary) == "initdb":  # noqa: PTH119  pathlib doubles the start-up time
        directory = data_directory(arguments)
        if directory is not None and below(directory, within):
            os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103
    for path in named_paths(arguments):
        if below(path, within) and os.path.exists(path):  # noqa: PTH110
            give(path, uid, gid, within)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if not os.access(".", os.X_OK):
        os.chdir(within)


def data_directory(arguments: list[str]) -> str | None:
    """The directory that initdb is to make: `-D X`, `-DX`, `--pgdata X`, `--pgdata=X` or the last plain argument."""
    found = None
    for index, argument in enumerate(arguments):
        if argument in ("-D", "--pgdata") and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith("--pgdata="):
            return argument.partition("=")[2]
        if argument.startswith("-D"):
            return argument[2:]
        if not argument.startswith("-"):
            found = argument
    return found


def named_paths(arguments: list[str]) -> list[str]:
    """Absolute paths among the arguments, whether they stand alone, after `=` or right behind a short option."""
    candidates: list[str] = []
    for argument in arguments:
        value = argument.partition("=")[2] if "=" in argument else argument
        if value[:1] == "-" and value[1:2] != "-":
            value = value[2:]
        candidates.extend(value.split(","))
    return [candidate for candidate in candidates if candidate.startswith("/")]


def below(path: str, within: str) -> bool:
    """Whether `path`, its symbolic links followed, is strictly below `within`."""
    return os.path.realpath(path).startswith(within + "/")


def give(path: str, uid: int, gid: int, within: str) -> None:
    """Make `path` belong to `uid`, with what lies directly in it, and let `uid` pass through the directories above."""
    path = os.path.realpath(path)
    os.chown(path, uid, gid)
    if os.path.isdir(path):  # noqa: PTH112
        for entry in os.scandir(path):
            if entry.stat(follow_symlinks=False).st_uid != uid:
                os.chown(entry.path, uid, gid, follow_symlinks=False)
    parent = os.path.dirname(path)  # noqa: PTH120
    while parent.startswith(within):
        mode = stat.S_IMODE(os.stat(parent).st_mode)  # noqa: PTH116
        if not mode & stat.S_IXOTH:
            os.chmod(parent, mode | stat.S_IXOTH)  # noqa: PTH101
        parent = os.path.dirname(parent)  # noqa: PTH120
