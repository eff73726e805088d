"""A pod's volumes as directories of this machine, and the paths that containers know them by."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl_local.kubernetes_kinds import CONFIG_MAP, SECRET, Object, ResourceType

Find = Callable[[ResourceType, str], Object | None]
"""Looks an object of the pod's namespace up by kind and name."""


class CannotStart(Exception):
    """A container that cannot be made yet, or ever, with the reason that its status shows.

    Attributes:
        reason: one word, such as `CreateContainerConfigError`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def make_volumes(pod: Object, directory: Path, find: Find) -> dict[str, Path]:
    """Make the directories of all volumes of a pod.

    ConfigMaps and Secrets are written out once, as read-only files. `emptyDir` and `ephemeral` volumes are private
    directories; of projected volumes the sources are written but for service account tokens, which stay out.

    Args:
        pod: the pod.
        directory: a directory of the pod's own.
        find: looks up ConfigMaps and Secrets.

    Returns:
        volume name → directory.

    Raises:
        CannotStart: a source is missing, or of a kind that a laptop does not have.
    """
    volumes: dict[str, Path] = {}
    for number, volume in enumerate(pod["spec"].get("volumes") or []):
        # short: the path of a Unix socket below it may have no more than some hundred characters
        place = directory / f"v{number}"
        place.mkdir(exist_ok=True)
        _fill(place, volume, find)
        volumes[volume["name"]] = place
    return volumes


def _fill(place: Path, volume: dict[str, Any], find: Find) -> None:
    if (source := volume.get("configMap")) is not None:
        _write_files(place, _content(CONFIG_MAP, source, source.get("name", ""), find), 0o444)
    elif (source := volume.get("secret")) is not None:
        _write_files(place, _content(SECRET, source, source.get("secretName", ""), find), 0o400)
    elif (source := volume.get("projected")) is not None:
        for part in source.get("sources") or []:
            for field, kind, mode in (("configMap", CONFIG_MAP, 0o444), ("secret", SECRET, 0o400)):
                if field in part:
                    _write_files(place, _content(kind, part[field], part[field].get("name", ""), find), mode)
    elif volume.get("emptyDir") is None and volume.get("ephemeral") is None:
        kind = ", ".join(sorted(volume.keys() - {"name"}))
        raise CannotStart("CreateContainerConfigError", f'volume "{volume["name"]}" is a {kind}, which is not served')


def _content(kind: ResourceType, source: dict[str, Any], name: str, find: Find) -> dict[str, bytes]:
    """File name → content, for all keys or for the chosen `items`."""
    obj = find(kind, name)
    if obj is None:
        if source.get("optional"):
            return {}
        raise CannotStart("CreateContainerConfigError", f'{kind.kind.lower()} "{name}" not found')
    content = contents(kind, obj)
    if not source.get("items"):
        return content
    chosen: dict[str, bytes] = {}
    for item in source["items"]:
        if item["key"] in content:
            chosen[item["path"]] = content[item["key"]]
        elif not source.get("optional"):
            message = f"{kind.kind.lower()} references non-existent config key: {item['key']}"
            raise CannotStart("CreateContainerConfigError", message)
    return chosen


def contents(kind: ResourceType, obj: Object) -> dict[str, bytes]:
    """What a ConfigMap or a Secret holds, by key."""
    data = obj.get("data") or {}
    if kind == SECRET:
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return {key: value.encode() for key, value in data.items()} | binary


def _write_files(place: Path, content: dict[str, bytes], mode: int) -> None:
    for name, data in content.items():
        path = place / name
        if not path.resolve().is_relative_to(place.resolve()):
            raise CannotStart("CreateContainerConfigError", f"{name} leads out of the volume")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(data)
        path.chmod(mode)


def mounted_paths(container: dict[str, Any], volumes: dict[str, Path]) -> dict[str, Path]:
    """The paths that a container knows → where they are here, the longest first."""
    mounts: dict[str, Path] = {}
    for mount in container.get("volumeMounts") or []:
        place = volumes[mount["name"]]
        if mount.get("subPath"):
            place /= mount["subPath"]
            if not place.exists():
                place.mkdir(parents=True)
        mounts[mount["mountPath"].rstrip("/") or "/"] = place
    return dict(sorted(mounts.items(), key=lambda item: -len(item[0])))


def local_path(word: str, mounts: dict[str, Path]) -> str:
    """A word that is a mounted path, or lies below one, as the path that it has here; any other word as it is."""
    for path, place in mounts.items():
        if word == path:
            return str(place)
        if word.startswith(f"{path}/"):
            return f"{place}/{word.removeprefix(f'{path}/')}"
    return word
