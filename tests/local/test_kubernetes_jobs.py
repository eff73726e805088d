"""Jobs run by the local kubelet: retries, failure policies, deadlines, deletion, with the real Job semantics."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.local.conftest import Cluster, eventually, job, started_since

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
POLICY = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [64, 65]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
}


def conditions(found: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c.get("reason", "") for c in found["status"]["conditions"] if c["status"] == "True"}


def counts(found: dict[str, Any]) -> tuple[int, int, int]:
    return tuple(found["status"].get(name, 0) for name in ("active", "succeeded", "failed"))


def exits(code: int) -> str:
    return f"raise SystemExit({code})"


def test_a_job_runs_and_completes(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')")
    found = cluster.ended_job()
    assert conditions(found) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert counts(found) == (0, 1, 0)
    assert found["status"]["startTime"] <= found["status"]["completionTime"]
    (pod,) = cluster.pods()
    assert pod["metadata"]["name"].startswith("work-")
    assert pod["metadata"]["labels"]["job-name"] == "work"
    assert "finalizers" not in pod["metadata"]
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_a_running_job_is_active_and_ready(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(SLEEP)
    cluster.said("ready")
    found = eventually(lambda: cluster.batch.read_namespaced_job("work", "default").status)
    eventually(lambda: cluster.batch.read_namespaced_job("work", "default").status.ready)
    assert (found.active, found.completion_time) == (1, None)
    assert cluster.pods()[0]["status"]["phase"] == "Running"


def test_a_job_that_was_there_before_the_kubelet_is_run_too(cluster: Cluster):
    cluster.start_job("print('hello')")
    cluster.start_kubelet()
    assert counts(cluster.ended_job()) == (0, 1, 0)


def test_a_job_is_retried_until_its_limit_is_exceeded(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(exits(75), backoffLimit=2)
    found = cluster.ended_job()
    assert conditions(found) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert counts(found) == (0, 0, 3)
    assert "completionTime" not in found["status"]
    codes = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in cluster.pods()]
    assert codes == [75, 75, 75]


def test_retries_wait_longer_each_time(cluster: Cluster):
    cluster.start_kubelet(backoff_seconds=0.1)
    cluster.start_job("import time; print(time.monotonic()); raise SystemExit(75)", backoffLimit=2)
    cluster.ended_job()
    first, second, third = (float(line) for _, line in cluster.lines)
    assert second - first >= 0.1
    assert third - second >= 0.2


def test_a_retry_can_succeed(cluster: Cluster):
    cluster.start_kubelet()
    mark = cluster.directory / "mark"
    cluster.start_job(f"import os; p={str(mark)!r}; r=os.path.exists(p); open(p, 'w').close(); raise SystemExit(not r)")
    found = cluster.ended_job()
    assert (counts(found), "Complete" in conditions(found)) == ((0, 1, 1), True)


def test_a_permanent_exit_code_fails_the_job_at_once(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(exits(65), backoffLimit=3, podFailurePolicy=POLICY)
    found = cluster.ended_job()
    assert conditions(found) == {"FailureTarget": "PodFailurePolicy", "Failed": "PodFailurePolicy"}
    assert counts(found) == (0, 0, 1)
    name = cluster.pods()[0]["metadata"]["name"]
    assert found["status"]["conditions"][-1]["message"] == (
        f"Container main for pod default/{name} failed with exit code 65 matching FailJob rule at index 0"
    )


def test_a_transient_exit_code_counts_against_the_limit(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(exits(75), backoffLimit=1, podFailurePolicy=POLICY)
    found = cluster.ended_job()
    assert (conditions(found)["Failed"], counts(found)) == ("BackoffLimitExceeded", (0, 0, 2))


@pytest.mark.parametrize(
    ("code", "operator", "reason"),
    [(75, "NotIn", "BackoffLimitExceeded"), (65, "NotIn", "PodFailurePolicy"), (65, "In", "BackoffLimitExceeded")],
)
def test_a_rule_matches_exit_codes_in_and_not_in_its_values(cluster: Cluster, code: int, operator: str, reason: str):
    cluster.start_kubelet()
    rule = {"action": "FailJob", "onExitCodes": {"operator": operator, "values": [75]}}
    cluster.start_job(exits(code), backoffLimit=0, podFailurePolicy={"rules": [rule]})
    assert conditions(cluster.ended_job())["Failed"] == reason


def test_an_evicted_pod_is_replaced_and_not_counted(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(SLEEP, backoffLimit=0, podFailurePolicy=POLICY)
    first = cluster.said("ready")
    cluster.core.create_namespaced_pod_eviction(first, "default", {"metadata": {"name": first}})
    second = eventually(lambda: next((pod for pod, _ in cluster.lines if pod != first), ""))
    found = cluster.api.get("Job", "work")
    assert (counts(found), found["status"].get("conditions")) == ((1, 0, 0), None)
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == [second]


def test_a_job_is_stopped_at_its_deadline(cluster: Cluster):
    cluster.start_kubelet()
    started = time.monotonic()
    cluster.start_job(SLEEP, activeDeadlineSeconds=1)
    found = cluster.ended_job()
    assert time.monotonic() - started >= 1
    assert conditions(found) == {"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"}
    assert found["status"]["conditions"][-1]["message"] == "Job was active longer than specified deadline"
    assert counts(found) == (0, 0, 1)


def test_a_finished_job_is_deleted_with_its_pods_when_its_time_is_over(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')", ttlSecondsAfterFinished=1)
    cluster.ended_job()
    assert cluster.pods()
    eventually(lambda: not cluster.api.list("Job") and not cluster.pods())


def test_a_time_of_zero_deletes_a_job_as_it_finishes(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')", ttlSecondsAfterFinished=0)
    eventually(lambda: not cluster.api.list("Job") and not cluster.pods())
    assert [line for _, line in cluster.lines] == ["hello"]


TIDY = (
    "import os, signal, sys, time\n"
    "def stop(*_): os.write(1, b'tidied\\n'); sys.exit(143)\n"
    "signal.signal(signal.SIGTERM, stop); print('ready', flush=True); time.sleep(60)"
)
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(os.getpid(), flush=True); time.sleep(60)"
)


def test_a_deleted_jobs_pod_gets_sigterm_and_goes_when_it_has_ended(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(TIDY)
    cluster.said("ready")
    cluster.batch.delete_namespaced_job("work", "default", propagation_policy="Background")
    cluster.said("tidied")
    eventually(lambda: not cluster.pods())
    assert not list((cluster.directory / "k").glob("p*")), "the pod's directories go with it"


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(STUBBORN, pod={"terminationGracePeriodSeconds": 1})
    pid = int(eventually(lambda: cluster.lines)[0][1])
    deleted = time.monotonic()
    cluster.batch.delete_namespaced_job("work", "default", propagation_policy="Foreground")
    terminating = cluster.pods()[0]["metadata"]
    assert terminating["deletionGracePeriodSeconds"] == 1
    eventually(lambda: not cluster.pods())
    assert time.monotonic() - deleted >= 1
    assert not psutil.pid_exists(pid)
    assert cluster.api.list("Job") == []


def test_a_pod_deleted_with_no_grace_is_killed_at_once(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(STUBBORN, backoffLimit=0)
    pod, pid = eventually(lambda: cluster.lines)[0]
    cluster.core.delete_namespaced_pod(pod, "default", grace_period_seconds=0)
    eventually(lambda: not psutil.pid_exists(int(pid)))
    found = cluster.ended_job()
    assert (conditions(found)["Failed"], counts(found)) == ("BackoffLimitExceeded", (0, 0, 1))


@pytest.mark.parametrize("policy", ["Failed", "TerminatingOrFailed"])
def test_a_pod_being_deleted_is_replaced_at_once_or_when_it_has_ended(cluster: Cluster, policy: str):
    cluster.start_kubelet()
    cluster.start_job(STUBBORN, podReplacementPolicy=policy, pod={"terminationGracePeriodSeconds": 1})
    first, pid = eventually(lambda: cluster.lines)[0]
    cluster.core.delete_namespaced_pod(first, "default")
    eventually(lambda: any(pod != first for pod, _ in list(cluster.lines)))
    assert psutil.pid_exists(int(pid)) is (policy == "TerminatingOrFailed")
    assert cluster.api.get("Job", "work")["status"]["failed"] == 1


def test_a_job_deleted_without_a_policy_lets_its_pod_run_on(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(SLEEP)
    name = cluster.said("ready")
    cluster.batch.delete_namespaced_job("work", "default")
    assert cluster.api.list("Job") == []
    (pod,) = eventually(lambda: [pod for pod in cluster.pods() if "finalizers" not in pod["metadata"]])
    assert (pod["metadata"]["name"], pod["status"]["phase"]) == (name, "Running")


def test_a_pod_that_is_killed_by_a_signal_exits_as_137(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", backoffLimit=0)
    cluster.ended_job()
    ended = cluster.pods()[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")


def test_a_container_is_restarted_in_its_pod_when_the_policy_is_on_failure(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job(exits(75), backoffLimit=2, pod={"restartPolicy": "OnFailure"})
    found = cluster.ended_job()
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"
    assert len({pod for pod, _ in cluster.lines}) <= 1


def test_several_completions_are_worked_off_in_parallel(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')", completions=4, parallelism=2)
    found = cluster.ended_job()
    assert (counts(found), len(cluster.pods())) == ((0, 4, 0), 4)


def test_an_indexed_job_works_off_each_index_once(cluster: Cluster):
    cluster.start_kubelet()
    program = "import os; print(os.environ['JOB_COMPLETION_INDEX'])"
    cluster.start_job(program, completions=4, parallelism=3, completionMode="Indexed")
    found = cluster.ended_job()
    assert Counter(line for _, line in cluster.lines) == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert found["status"]["completedIndexes"] == "0-3"


def test_a_suspended_job_waits_and_a_resumed_one_runs(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')", suspend=True)
    eventually(lambda: conditions(cluster.api.get("Job", "work")) if cluster.api.get("Job", "work")["status"] else None)
    assert (cluster.pods(), "startTime" in cluster.api.get("Job", "work")["status"]) == ([], False)
    cluster.batch.patch_namespaced_job("work", "default", {"spec": {"suspend": False}})
    assert "Complete" in conditions(cluster.ended_job())


def test_a_refused_pod_is_told_as_an_event_and_tried_again(cluster: Cluster):
    cluster.start_kubelet()
    cluster.start_job("print('hello')", pod={"serviceAccountName": "later"})
    events = eventually(lambda: cluster.core.list_namespaced_event("default").items)
    assert (events[0].reason, events[0].involved_object.name) == ("FailedCreate", "work")
    assert 'serviceaccount "later" not found' in events[0].message
    cluster.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "later"}})
    assert counts(cluster.ended_job()) == (0, 1, 0)


def test_many_jobs_run_side_by_side_and_leave_nothing(cluster: Cluster):
    kubelet = cluster.start_kubelet()
    for number in range(12):
        cluster.batch.create_namespaced_job("default", job("print('hello')", f"work-{number}"))
    for number in range(12):
        assert counts(cluster.ended_job(f"work-{number}")) == (0, 1, 0)
    kubelet.close()
    assert len(list((cluster.directory / "k" / "logs").iterdir())) == 12


def test_a_fault_in_the_kubelet_is_reported_and_stops_nothing_else(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    reported: list[str] = []
    monkeypatch.setattr("threading.excepthook", lambda fault: reported.append(repr(fault.exc_value)))
    kubelet = cluster.start_kubelet()
    take = kubelet._take

    def fail_once(pod: dict[str, Any]) -> Any:
        if pod["metadata"]["name"].startswith("broken"):
            raise LookupError("an error of the kubelet's own")
        return take(pod)

    monkeypatch.setattr(kubelet, "_take", fail_once)
    cluster.start_job("print('hello')", "broken")
    cluster.start_job("print('hello')", "whole")
    assert counts(cluster.ended_job("whole")) == (0, 1, 0)
    assert set(reported) == {'LookupError("an error of the kubelet\'s own")'}


def test_closing_ends_everything_also_in_the_middle_of_starting_up(cluster: Cluster):
    others = set(psutil.Process().children())
    kubelet = cluster.start_kubelet(last_grace_seconds=0.2)
    for number in range(4):
        cluster.batch.create_namespaced_job("default", job(STUBBORN, f"work-{number}"))
    started = started_since(others)
    kubelet.close()
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert json.dumps([pod["status"]["phase"] for pod in cluster.pods()])
