"""How much disk the transform of a dump may need, from what its manifest says, and the Job that gets so much."""

from __future__ import annotations

import re
from typing import Any

from etl_runtime.contract import SCRATCH_VOLUME
from etl_runtime.manifest import Manifest

_FIXED_BYTES = 6 << 30
"""WAL of the scratch server (max_wal_size is 4 GB), its catalogs, and what nobody thought of."""
_GIB = 1 << 30
_QUANTITY = re.compile(r"(\d{1,6})Gi")


def needed_gib(manifest: Manifest) -> int:
    """What is enough in every case, GiB; most transforms need a part of it.

    The scratch database, with indexes where scripts run, is no larger than the source was, bloat and all; building an
    index sorts as much again on disk. The files that came, those that leave, and a cleaned value longer than its
    original make three times the archive.
    """
    need = 2 * manifest.database_bytes + 3 * manifest.bytes + _FIXED_BYTES
    return -(-need // _GIB)


def fit_disk(pod: dict[str, Any], manifest: Manifest) -> None:
    """Give a pod as much scratch disk as the dump may need, if that is less than the template allows; in place.

    A node then takes more pods at a time. The template's own size is the most that a pod ever gets: what it holds
    beside the scratch volume is added to it as in the template.
    """
    volumes = [volume["emptyDir"] for volume in pod.get("volumes", []) if volume.get("name") == SCRATCH_VOLUME]
    amounts = [amount for amount in pod["containers"][0].get("resources", {}).values() if "ephemeral-storage" in amount]
    sizes = [_QUANTITY.fullmatch(str(volume.get("sizeLimit"))) for volume in volumes]
    storage = [_QUANTITY.fullmatch(str(amount["ephemeral-storage"])) for amount in amounts]
    if not sizes or not all([*sizes, *storage]):
        return  # written by hand in another unit: as it is, then
    most = max(int(size[1]) for size in sizes if size)
    less = max(most - needed_gib(manifest), 0)
    for holder, name, size in (
        *((volume, "sizeLimit", size) for volume, size in zip(volumes, sizes, strict=True)),
        *((amount, "ephemeral-storage", size) for amount, size in zip(amounts, storage, strict=True)),
    ):
        if size:
            holder[name] = f"{int(size[1]) - less}Gi"
