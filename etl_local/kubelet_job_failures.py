"""When a Job has failed and when it is complete: pure rules over its spec, its status and its pods."""

from __future__ import annotations

from typing import Any

from etl_local.kubelet_objects import FINISHED
from etl_local.kubernetes_kinds import Object

Verdict = tuple[str, str] | None
"""Why a Job has failed: a reason and a message."""

DECISIONS = ("FailureTarget", "SuccessCriteriaMet")


def decided(status: dict[str, Any]) -> bool:
    """Whether it is decided how the Job ends, though pods may still be ending."""
    return any(c["type"] in DECISIONS and c["status"] == "True" for c in status.get("conditions") or [])


def is_to_count(job: Object, pod: Object) -> bool:
    """Whether a pod has ended, or is as good as: one being deleted, where terminating pods are replaced too."""
    if pod["status"].get("phase") in FINISHED:
        return True
    return "deletionTimestamp" in pod["metadata"] and job["spec"]["podReplacementPolicy"] == "TerminatingOrFailed"


def verdict(job: Object, pod: Object) -> tuple[Verdict, bool]:
    """What the pod failure policy says of a failed pod: the Job's own failure, if that, and whether it counts."""
    policy = job["spec"].get("podFailurePolicy") or {}
    for index, rule in enumerate(policy.get("rules") or []):
        told = _matched(rule, pod, index)
        if told is not None:
            match rule["action"]:
                case "FailJob":
                    return ("PodFailurePolicy", told), True
                case "Ignore":
                    return None, False
                case _:
                    return None, True
    return None, True


def _matched(rule: dict[str, Any], pod: Object, index: int) -> str | None:
    metadata, status = pod["metadata"], pod["status"]
    which = f"matching {rule['action']} rule at index {index}"
    if codes := rule.get("onExitCodes"):
        for container in (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or []):
            ended = container["state"].get("terminated")
            named = codes.get("containerName") in (None, container["name"])
            if (
                ended
                and named
                and ended["exitCode"]
                and (ended["exitCode"] in codes["values"]) == (codes["operator"] == "In")
            ):
                place = f"{metadata['namespace']}/{metadata['name']}"
                return (
                    f"Container {container['name']} for pod {place} failed with exit code {ended['exitCode']} {which}"
                )
    for pattern in rule.get("onPodConditions") or []:
        for condition in status.get("conditions") or []:
            if (condition["type"], condition["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {metadata['namespace']}/{metadata['name']} has condition {condition['type']} {which}"
    return None


def of_pods(job: Object, status: dict[str, Any], pods: list[Object]) -> Verdict:
    """Whether there were too many failures: of pods, or with `OnFailure` of containers within the pods there are."""
    if decided(status):
        return None
    limit = job["spec"]["backoffLimit"]
    restarts = sum(
        container["restartCount"] for pod in pods for container in pod["status"].get("containerStatuses") or []
    )
    on_failure = job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    if status.get("failed", 0) > limit or (on_failure and restarts > 0 and restarts >= limit):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    return None


def is_complete(spec: dict[str, Any], status: dict[str, Any], active: bool) -> bool:
    """Whether enough pods have succeeded."""
    if decided(status):
        return False
    succeeded, wanted = status.get("succeeded", 0), spec.get("completions")
    return (succeeded > 0 and not active) if wanted is None else succeeded >= wanted


def completions_left(spec: dict[str, Any], status: dict[str, Any], active: bool) -> int:
    """How many pods may be active at most, by what is left to do."""
    succeeded, wanted = status.get("succeeded", 0), spec.get("completions")
    if wanted is None:
        return 0 if succeeded and not active else spec["parallelism"]
    return max(0, wanted - succeeded)


def free_indexes(spec: dict[str, Any], status: dict[str, Any], pods: list[Object], annotation: str) -> list[int] | None:
    """The completion indexes that no pod has worked or works on, the lowest first; None for a Job without indexes."""
    if spec["completionMode"] != "Indexed":
        return None
    taken = set(_indexes(status.get("completedIndexes", "")))
    taken |= {int(pod["metadata"]["annotations"][annotation]) for pod in pods}
    return [index for index in range(spec["completions"]) if index not in taken]


def add_index(job: Object, status: dict[str, Any], index: str | None) -> None:
    """Put an index among the completed ones, written as Kubernetes does: `0,2-4`."""
    if index is None or job["spec"]["completionMode"] != "Indexed":
        return
    done = sorted({*_indexes(status.get("completedIndexes", "")), int(index)})
    status["succeeded"] = len(done)
    spans: list[list[int]] = []
    for number in done:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    status["completedIndexes"] = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _indexes(text: str) -> list[int]:
    found: list[int] = []
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
