"""A directory for what must not outlive the program."""

from __future__ import annotations

import shutil
from tempfile import TemporaryDirectory


class PrivateDirectory(TemporaryDirectory[str]):
    """A new directory that only this user may enter. It is gone on every way out, a SIGTERM during its removal too."""

    def cleanup(self) -> None:
        """Remove it and all in it."""
        try:
            super().cleanup()
        except BaseException:
            # The signal comes once; `program.run` ignores another.
            shutil.rmtree(self.name, ignore_errors=True)
            raise
