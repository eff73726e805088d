"""Dispatchers under everything at once: duplicates, junk, lost and reordered events, kills, faults of the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.exceptions import ClientError
from etl_runtime.dead_letters import DeadLetterQueue

from etl_local.clusters import free_port
from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.dispatch_bench import Bench, manifest_of
from tests.containers.dispatch_cluster import DispatchCluster

MOST_RECEIVES = 5
DISPATCHERS = 3
_SLOTS = 20
_CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create", {"status": 500}),
    ("create", {"status": 500, "executed": True}),
    ("create", {"status": 429, "retry_after": 1}),
    ("create", {"executed": True}),
    ("create", {}),
    ("read", {"status": 503}),
    ("list", {"status": 500}),
    ("list", {}),
)


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        dumps: how many there were.
        lost: the dumps that were never transformed.
        effects: dump → how many transforms had an effect, where it was not one.
        starts: Jobs that ran, the repeated ones of a dump included.
        letters: bodies of the dead letters that are no junk, and junk that is no dead letter.
        kills: dispatchers that were killed.
        faults: calls of Kubernetes that were broken.
        seconds: until all was done.
        latencies: seconds from a message's sending to its Job, each sent to idle dispatchers.
    """

    dumps: int
    lost: set[str] = field(default_factory=set)
    effects: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    letters: set[str] = field(default_factory=set)
    kills: int = 0
    faults: int = 0
    seconds: float = 0
    latencies: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        return {
            "dumps": self.dumps,
            "lost": len(self.lost),
            "transformed_twice_to_effect": len(self.effects),
            "jobs_that_ran": self.starts,
            "dead_letters_amiss": len(self.letters),
            "kills": self.kills,
            "broken_calls": self.faults,
            "seconds": round(self.seconds, 1),
            "idle_latency_median": round(median(ordered), 3) if ordered else None,
            "idle_latency_95": round(ordered[int(len(ordered) * 0.95)], 3) if ordered else None,
        }


class Soak:
    """Queue, buckets and cluster for some dispatchers, each a process of its own."""

    def __init__(self, endpoint: str, cluster: DispatchCluster, directory: Path, seed: int) -> None:
        self._cluster, self._directory = cluster, directory
        self._random = random.Random(seed)
        self._keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        self._s3 = boto3.client("s3", endpoint_url=endpoint, **self._keys)
        self._sqs = boto3.client("sqs", endpoint_url=endpoint, **self._keys)
        suffix = cluster.namespace
        self._raw, self._clean = f"raw-{suffix}", f"clean-{suffix}"
        for bucket in (self._raw, self._clean):
            self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self._letters = self._sqs.create_queue(QueueName=f"letters-{suffix}")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:letters-{suffix}"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_RECEIVES})
        made = self._sqs.create_queue(QueueName=f"dumps-{suffix}", Attributes={"RedrivePolicy": policy})
        self._queue = made["QueueUrl"]
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{_CONTAINERS}:{_CONTAINERS.parent}",
            "PYTHONUNBUFFERED": "1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "KUBECONFIG": str(cluster.kubeconfig),
            "ENVIRONMENT_NAME": "prod",
            "AWS_REGION": REGION,
            "QUEUE_URL": self._queue,
            "DEAD_LETTER_QUEUE_URL": self._letters,
            "EXTRACT_BUCKET": self._raw,
            "EXTRACT_BUCKET_OWNER": ACCOUNT,
            "LOAD_BUCKETS": json.dumps({"dev": {"bucket": self._clean, "owner": ACCOUNT}}),
            "JOB_NAMESPACE": cluster.namespace,
            "JOB_TEMPLATE": str(cluster.template),
            "MAX_ACTIVE_JOBS": str(_SLOTS),
            "METRICS_ADDRESS": "127.0.0.1",
        }
        self._dispatchers: list[subprocess.Popen[bytes]] = []
        self._effects: Counter[str] = Counter()
        self._starts = 0
        self._over = threading.Event()

    # --- what comes in

    def dump(self, name: str) -> dict[str, Any]:
        """A raw dump, and the record that S3 would send of it."""
        key = f"dev/{name}/etl-dump/manifest.json"
        version = self._s3.put_object(Bucket=self._raw, Key=key, Body=manifest_of(name).text())["VersionId"]
        return Bench.record(
            key, version, s3={"bucket": {"name": self._raw}, "object": {"key": key, "versionId": version}}
        )

    def _messages(self, dumps: int) -> tuple[list[str], set[str]]:
        """Bodies in the order in which they are sent, and those of them that are junk."""
        records = [self.dump(f"nightly-{number}") for number in range(dumps)]
        bodies: list[str] = []
        for record in records:
            lost = self._random.random() < 0.05
            bodies += [json.dumps({"Records": [record]})] * (0 if lost else self._random.choice((1, 1, 2, 3)))
        junk = {f"junk {number}" for number in range(dumps // 20 + 2)}
        for number in range(dumps // 20 + 2):
            junk.add(json.dumps({"Records": [self._random.choice(records), {"eventSource": f"nobody {number}"}]}))
            junk.add(json.dumps({"Records": [Bench.record(f"dev/../{number}/manifest.json", "v")]}))
        bodies += [*junk, *[json.dumps({"Event": "s3:TestEvent"})] * 2]
        self._random.shuffle(bodies)
        return bodies, junk

    def send(self, bodies: list[str]) -> None:
        """Messages to the dump queue."""
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            self._sqs.send_message_batch(QueueUrl=self._queue, Entries=entries)

    # --- who works

    def start(self) -> subprocess.Popen[bytes]:
        """One more dispatcher; whoever starts it ends it."""
        log = (self._directory / f"dispatcher-{len(list(self._directory.glob('dispatcher-*')))}.log").open("wb")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.containers.quick_dispatcher"],
                env={**self._environment, "METRICS_PORT": str(free_port())},
                stdout=log,
                stderr=log,
            )

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        transforms = threading.Thread(target=self._transform, name="transforms", daemon=True)
        try:
            self._dispatchers = [self.start() for _ in range(DISPATCHERS)]
            transforms.start()
            yield
        finally:
            self._over.set()
            for process in self._dispatchers:
                process.kill()
                process.wait()
            transforms.join(10)

    def _transform(self) -> None:
        """What Jobs would do: release the clean dump unless it is there, and end; some are gone at once, as by TTL."""
        chance = random.Random(1)
        while not self._over.wait(0.1):
            for name, job in self._cluster.jobs().items():
                if job["status"].get("conditions"):
                    continue
                (prefix,) = [
                    variable["value"]
                    for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]
                    if variable["name"] == "DUMP_PREFIX"
                ]
                self._starts += 1
                try:
                    key = f"{prefix}/manifest.json"
                    self._s3.put_object(Bucket=self._clean, Key=key, Body=b"{}", IfNoneMatch="*")
                    self._effects[prefix] += 1
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "PreconditionFailed"  # noqa: PT017 - any other is news
                self._cluster.end(name)
                if chance.random() < 0.5:
                    self._cluster.delete(name)

    # --- the whole

    def run(self, dumps: int, *, kills: int, patience: float, idle_messages: int = 0) -> Outcome:
        """Send everything, break what can be broken, wait until all is done or patience is at its end."""
        bodies, junk = self._messages(dumps)
        names = {f"dev/nightly-{number}/etl-dump" for number in range(dumps)}
        outcome = Outcome(dumps)
        self.send(bodies[: len(bodies) // 2])
        began = time.monotonic()
        with self._running():
            self.send(bodies[len(bodies) // 2 :])
            next_kill = began + 3
            while time.monotonic() - began < patience and not self._is_done(names, junk):
                verb, how = self._random.choice(_FAULTS)
                # now and then, and what it has not met by then it meets no more
                fault = self._cluster.fault(verb, times=self._random.choice((1, 1, 4)), **how)
                if outcome.kills < kills and time.monotonic() > next_kill:
                    victim = self._random.randrange(DISPATCHERS)
                    self._dispatchers[victim].kill()
                    self._dispatchers[victim].wait()
                    self._dispatchers[victim] = self.start()
                    outcome.kills += 1
                    next_kill = time.monotonic() + self._random.uniform(1.5, 4)
                time.sleep(0.3)
                fault.end()
                outcome.faults += fault.hits
                time.sleep(self._random.uniform(0, 0.6))
            outcome.seconds = time.monotonic() - began
            outcome.latencies = [self._latency(number) for number in range(idle_messages)]
        outcome.lost = names - self._effects.keys()
        outcome.effects = {name: count for name, count in self._effects.items() if count != 1}
        outcome.starts = self._starts
        # what stands in both queues between two steps is there twice, so that it is not lost
        outcome.letters = self.letter_bodies() ^ junk
        return outcome

    def _is_done(self, names: set[str], junk: set[str]) -> bool:
        if names - self._effects.keys():
            return False
        return self.waiting() == (0, 0) and self.letter_bodies() >= junk

    def waiting(self) -> tuple[int, int]:
        """How many messages can be seen, and how many are in some dispatcher's hands."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=list(names))["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def letter_bodies(self) -> set[str]:
        """What the dead letters are."""
        with DeadLetterQueue(self._sqs, self._letters).held() as letters:
            return {letter.body for letter in letters}

    def _latency(self, number: int) -> float:
        record = self.dump(f"idle-{number}")
        sent = time.monotonic()
        self.send([json.dumps({"Records": [record]})])
        while f"dev/idle-{number}/etl-dump" not in self._effects:
            assert time.monotonic() - sent < 60
            time.sleep(0.01)
        return time.monotonic() - sent
