"""An image's bill of materials, CycloneDX 1.6: `bill_of_materials.py <target> <file>`.

Made in the image itself, of what is installed and not of what was asked for: the Python distributions and the Debian
packages. https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_FIELDS = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"


def python_components() -> Iterator[dict[str, Any]]:
    """The Python distributions."""
    for distribution in distributions():
        name, version = str(distribution.metadata["Name"]), distribution.version
        normal = name.lower().replace("_", "-").replace(".", "-")
        yield _component(name, version, f"pkg:pypi/{normal}@{quote(version)}")


def debian_components() -> Iterator[dict[str, Any]]:
    """The Debian packages, where there is such a thing."""
    if shutil.which("dpkg-query") is None:
        return
    argv = ["dpkg-query", "--show", f"--showformat={_FIELDS}"]
    for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines():
        status, name, version, architecture = line.split("\t")
        if status == "installed":
            yield _component(name, version, f"pkg:deb/debian/{name}@{quote(version)}?arch={architecture}")


def _component(name: str, version: str, url: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def bill_of_materials(target: str) -> dict[str, Any]:
    """The document; the same image gives the same text, so it holds neither a time nor a serial number."""
    found = {part["purl"]: part for part in (*python_components(), *debian_components())}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": target, "name": f"postgres-etl/{target}"}},
        "components": [found[url] for url in sorted(found)],
    }


def main(target: str, path: str) -> None:
    """Write it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(bill_of_materials(target), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
