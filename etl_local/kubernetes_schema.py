"""The published schema of Kubernetes objects, as the API server's decoder applies it.

The official client carries a typed model of every kind; it is used here to find what a decoder would refuse: unknown
fields and values of another type. The stand-in decodes strictly unless a request says otherwise: a real server would
drop an unknown field with no more than a warning, and a misspelt setting would be lost.
"""

from __future__ import annotations

from typing import Any, cast

from kubernetes.client import models

from etl_local.kubernetes_kinds import Object, ResourceType
from etl_local.kubernetes_status import bad_request

_MODELS = {"Event": "CoreV1Event", "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler"}
_QUANTITIES = {"capacity", "default", "defaultRequest", "hard", "limits", "max", "min", "requests", "used"}
_QUANTITY = {"divisor", "sizeLimit"}
_TYPES = {
    "bool_type": "bool",
    "dict_type": "map",
    "float_type": "number",
    "int_type": "integer",
    "list_type": "array",
    "mapping_type": "map",
    "model_attributes_type": "object",
    "model_type": "object",
    "string_type": "string",
}


def decode(kind: ResourceType, obj: Object, *, strict: bool = True) -> None:
    """Check an object against the schema of its kind; quantities given as numbers become text, in place.

    Kinds that the client has no model of, and missing fields (which validation reports), pass.

    Args:
        kind: the kind that is expected.
        obj: the object.
        strict: refuse unknown fields. Without it they are kept.

    Raises:
        KubernetesError: 400.
    """
    model = getattr(models, _MODELS.get(kind.kind, f"V1{kind.kind}"), None)
    if model is None:
        return
    try:
        model.model_validate(obj)
    except ValueError as error:  # the models' own ValidationError, whose package is not ours to import
        found = [fault for fault in cast(Any, error).errors(include_url=False) if not _is_quantity(obj, fault)]
    else:
        return
    refused = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    for fault in found:
        if wanted := _TYPES.get(fault["type"]):
            given = type(fault["input"]).__name__
            where = ".".join(str(part) for part in fault["loc"])
            raise bad_request(f"{refused}: json: cannot unmarshal {given} into field {where} of type {wanted}")
    unknown = [_dotted(fault["loc"]) for fault in found if fault["type"] == "extra_forbidden"]
    if unknown and strict:
        told = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(f"{refused}: strict decoding error: {told}")


def _is_quantity(obj: Object, fault: Any) -> bool:
    *path, last = fault["loc"]
    if fault["type"] != "string_type" or not isinstance(fault["input"], int | float):
        return False
    if last not in _QUANTITY and not (path and path[-1] in _QUANTITIES):
        return False
    place: Any = obj
    for part in path:
        place = place[part]
    place[last] = str(place[last])
    return True


def _dotted(location: tuple[str | int, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path
