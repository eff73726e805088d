"""The environment and the command of a container, as its local process gets them.

Variables are the container's own, resolved and expanded as Kubernetes does it. Then, because there is no container:

- a value, or a word of the command, that is a volume's mount path or lies below one becomes the path of the local
  directory, or below it;
- a value that is the number of one of the container's ports becomes the local port that stands for it, as all pods
  share one loopback interface;
- `python` as the command becomes the given interpreter;
- `TMPDIR` points to the volume mounted at `/tmp`, if there is one.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from etl_local.kubelet_volumes import CannotStart, Find, contents, local_path, mounted_paths
from etl_local.kubernetes_kinds import CONFIG_MAP, SECRET, Object, ResourceType

_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all containers of a kubelet share: the variables it adds, its interpreter, where `python` imports from."""

    environment: dict[str, str]
    python: str
    pythonpath: tuple[Path, ...]


def variables(container: dict[str, Any], pod: Object, find: Find) -> dict[str, str]:
    """A container's `envFrom` and `env`, resolved and expanded.

    Raises:
        CannotStart: a ConfigMap, a Secret or a key of theirs is missing.
    """
    resolved: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
            if field in source:
                found = _content(kind, source[field], find)
                prefix = source.get("prefix") or ""
                resolved |= {prefix + key: value.decode() for key, value in found.items()}
    for variable in container.get("env") or []:
        value = variable.get("value") or ""
        if source := variable.get("valueFrom"):
            found = _value(source, container, pod, find)
            if found is None:
                continue
            value = found
        else:
            value = expand(value, resolved)
        resolved[variable["name"]] = value
    return resolved


def expand(text: str, known: dict[str, str]) -> str:
    """`$(NAME)` replaced where the name is known, `$$` by one dollar sign."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else known.get(m[1], m[0]), text)


def _content(kind: ResourceType, source: dict[str, Any], find: Find) -> dict[str, bytes]:
    obj = find(kind, source.get("name", ""))
    if obj is None and not source.get("optional"):
        raise CannotStart("CreateContainerConfigError", f'{kind.kind.lower()} "{source.get("name", "")}" not found')
    return contents(kind, obj) if obj else {}


def _value(source: dict[str, Any], container: dict[str, Any], pod: Object, find: Find) -> str | None:
    for field, kind in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
        if field in source:
            reference = source[field]
            found = _content(kind, reference, find)
            if reference["key"] in found:
                return found[reference["key"]].decode()
            if reference.get("optional"):
                return None
            place = f"{kind.kind} {pod['metadata']['namespace']}/{reference['name']}"
            message = f"couldn't find key {reference['key']} in {place}"
            raise CannotStart("CreateContainerConfigError", message)
    if "fieldRef" in source:
        return _field(source["fieldRef"]["fieldPath"], pod)
    if "resourceFieldRef" in source:
        return _resource(source["resourceFieldRef"], container, pod)
    raise CannotStart("CreateContainerConfigError", f"a value from {', '.join(source)} is not served")


def _field(path: str, pod: Object) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        return (metadata.get(match[1]) or {}).get(match[2], "")
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec["serviceAccountName"],
        "status.hostIP": _LOOPBACK,
        "status.hostIPs": _LOOPBACK,
        "status.podIP": _LOOPBACK,
        "status.podIPs": _LOOPBACK,
    }
    if path not in known:
        raise CannotStart("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return known[path]


def _resource(reference: dict[str, Any], container: dict[str, Any], pod: Object) -> str:
    """A limit or a request in units of the divisor, rounded up; without a limit, what this machine has."""
    chosen = container
    if name := reference.get("containerName"):
        chosen = next(c for c in pod["spec"]["containers"] if c["name"] == name)
    group, _, resource = reference["resource"].partition(".")
    given = ((chosen.get("resources") or {}).get(group) or {}).get(resource)
    if given is None:
        page_bytes, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        given = str(os.cpu_count() or 1) if resource == "cpu" else str(page_bytes * pages)
    divisor = reference.get("divisor") or "1"
    return str(math.ceil(parse_quantity(given) / (parse_quantity(divisor) or 1)))


def process_of(
    container: dict[str, Any],
    resolved: dict[str, str],
    volumes: dict[str, Path],
    ports: dict[int, int],
    surroundings: Surroundings,
) -> tuple[list[str], dict[str, str]]:
    """The argv and the environment of a container's process.

    Args:
        container: the container.
        resolved: its variables.
        volumes: volume name → directory.
        ports: container port → local port.
        surroundings: what the kubelet adds; the container's own variables win.

    Raises:
        CannotStart: the container has no command, and there is no image to have one.
    """
    words = [expand(word, resolved) for word in [*(container.get("command") or []), *(container.get("args") or [])]]
    if not container.get("command"):
        raise CannotStart("StartError", f'container "{container["name"]}" has no command, and images are not read')
    mounts = mounted_paths(container, volumes)
    argv = [local_path(word, mounts) for word in words]
    if _PYTHON.fullmatch(Path(words[0]).name):
        argv[0] = surroundings.python  # a path of this machine, which may well lie in its own /tmp
    local_ports = {str(port): str(local) for port, local in ports.items()}
    own = {name: local_ports.get(value, local_path(value, mounts)) for name, value in resolved.items()}
    environment = surroundings.environment | own
    paths = [str(path) for path in surroundings.pythonpath]
    if inherited := environment.get("PYTHONPATH"):
        paths.append(inherited)
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    if "/tmp" in mounts:  # noqa: S108  # a container's path: the point is to keep out of this machine's own
        environment.setdefault("TMPDIR", str(mounts["/tmp"]))  # noqa: S108
    return argv, environment
