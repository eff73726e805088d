"""The security baseline: row by row what holds, and what is left out with its reason. The tests read both from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """A setting that some authority demands and that is left out on purpose.

    Attributes:
        row: the row of the baseline that it belongs to.
        setting: what is demanded.
        reason: why it is not done here.
        rules: ids of those who demand it: of a scanner (`CKV_…`, `parliament:…`), or of a standard (`S3.7`).
        resources: pattern of the logical names for which it is left out.
    """

    row: str
    setting: str
    reason: str
    rules: tuple[str, ...] = ()
    resources: str = "*"


BASELINE: Final[Mapping[str, tuple[str, ...]]] = {
    "Bucket": (
        "a bucket refuses public access by each of the four doors",
        "a bucket's owner owns every object in it",
        "a bucket keeps versions",
        "a bucket is encrypted with a key of its own, named by its ARN",
        "a bucket asks KMS once for many objects",
        "a bucket takes no key of a caller's",
        "a bucket denies plaintext transport",
        "a bucket denies encryption with another key, or without KMS",
        "a manifest is written once, parts of an upload apart",
        "a bucket that has an organisation denies everybody outside of it",
        "a bucket that has a network denies reading and writing from outside of it",
        "a bucket admits nobody but roles that it names",
        "a raw dump is gone after 14 days at most, a cleaned one after a year",
        "an old version is gone a day after it was replaced",
        "an unfinished upload is gone after a day",
        "a protected bucket is not deleted with what is in it",
        "access to a bucket is logged",
        "what holds data is protected and retained in a protected environment",
        "what guards data is retained with it, and nothing else is protected",
        "of a dump one role reads more than its manifest",
    ),
    "Queue": (
        "a queue is encrypted with a customer managed key",
        "S3 may use the queue's key for this account's bucket alone",
        "the queue takes the events of one bucket of this account and nothing else",
        "the queue hears of finished dumps of its bucket alone",
        "a queue denies plaintext transport",
        "a message that cannot be dealt with goes to the dead letters after 5 to 10 receives",
        "the dead letters are those of one queue",
        "dead letters are kept for a fortnight, longer than any message",
        "dead letters, old messages and failed runs raise an alarm",
        "an alarm reaches the people that the settings name",
        "the topic is encrypted with a customer managed key",
        "the topic takes this account's alarms, key events and nothing else, over TLS",
    ),
    "Key": (
        "a key rotates",
        "a key is lost only after thirty days",
        "an account administers a key and reads nothing with it",
        "a key is used through one service, in one context or for one resource",
        "a key is used by roles that its policy names",
        "whoever may lose a key is told of to the topic",
        "no condition that EventBridge cannot meet stands between a key event and the topic",
        "a key event that could not be told of raises an alarm",
    ),
    "Task definition": (
        "a task runs on Fargate in a network interface of its own",
        "a container's image is named by its digest",
        "a container runs as nobody that the host knows",
        "a container's root is read-only",
        "a container writes to one scratch volume",
        "a container is not privileged and has no capability",
        "a container's first process reaps its children",
        "a container has its secrets by reference",
        "a container's log never holds it up",
        "a container logs into the group that is made for it",
        "a task verifies its database, and is told what is protected and which rules are trusted",
        "a container has two minutes to stop",
        "a task's disk is sized by a setting and ends with it",
        "a cluster measures its containers",
        "a shell, where a task may have one, is encrypted and logged",
    ),
    "Run options": (
        "a task gets no public address",
        "a task may run in either of two subnets",
        "a machine runs the task of its stage, in its group and the private subnets",
        "a task runs on the newest platform",
        "a task carries the tags of its definition",
    ),
    "Task role": (
        "a service assumes a role for this account's own resource alone",
        "a role is assumed by a named role, a named service account or a service",
        "no role is allowed everything, or anything of everything",
        "no role deletes an object, or changes what guards one",
        "a role uses a key through one service, in one context, or in one session",
        "a task signs in to one database as one user",
        "Jenkins starts, follows and stops executions and reads manifests, and nothing else",
        "the provider refuses every other account",
        "the provider tags everything",
    ),
    "Execution role": (
        "a task's program and its starting have a role each",
        "a task's starting pulls, logs and reads its own sign-in, and nothing else",
    ),
    "State machine role": (
        "a machine's role runs one family on one cluster",
        "a machine's role follows the tasks of its own cluster",
        "a role is passed to ECS tasks alone, and two of them",
        "a machine uses its key itself: for its own history, and for the logs that it delivers",
        "the nightly schedule starts one machine, and nothing else",
    ),
    "State machine": (
        "a machine is a standard one",
        "a machine logs every event and no data",
        "a machine is traced",
        "a machine is encrypted with a customer managed key",
        "a state that works has a time limit and a way to fail",
        "a task that ran and failed is not simply run again",
        "a machine fails under a name of its own",
    ),
    "Log group": (
        "a log group is encrypted with a customer managed key",
        "logs are kept for a year unless a setting says otherwise, and not for ever",
    ),
    "Security group": (
        "nobody enters a task; a database is entered from a task's group alone",
        "a task goes out to its database, to named ranges of endpoints and to S3, nowhere else",
        "a security group and each of its rules says what it is for, in letters that EC2 takes",
    ),
    "Database": (
        "a created database takes TLS alone",
        "a created database is not public",
        "a created database stands in two zones, and listens where its task calls",
        "a created database takes IAM sign-in, and its master password is RDS's secret",
        "a created database is encrypted with a key of its own",
        "a created database exports its logs, to groups that are there",
        "a created database logs the text of no query",
        "a created database is backed up, and kept up to date",
        "a created database is not deleted in a protected environment, nor without a last snapshot",
    ),
    "Secret": (
        "a secret is encrypted with a key of its own",
        "a secret is read by the roles that it names, and closed to the public",
        "a secret's value is one to the engine, too",
    ),
    "Image": (),
    "Cluster identity": (
        "a service account assumes its own role and no other does",
        "a service account names its own role, where the cluster goes by names",
    ),
    "Namespace": (
        "the namespace takes restricted pods alone",
        "the namespace is bounded in Jobs, pods, CPU, memory and disk",
        "the namespace is closed unless a way is named",
        "what the pipeline has in the cluster is in its own namespace",
    ),
    "Dispatcher's rights": (
        "the dispatcher creates and sees Jobs and has no other right",
        "the cluster refuses images and service accounts that are not the pipeline's",
        "what the cluster cannot judge it refuses",
        "what the cluster judges it denies, in this namespace",
    ),
    "Deployment": (
        "the dispatcher is one and never two",
        "the dispatcher is probed for life and for readiness, by two questions",
        "a pod's image is named by its digest",
        "a pod gets what it asks for, and no more",
        "a pod runs as nobody that the node knows, with the default seccomp profile",
        "a pod's container cannot become more than it is, and has no capability",
        "a pod's root is read-only",
    ),
    "Transform Job": (
        "the transform has no token of the cluster",
        "a transform Job ends: by a deadline, after three attempts, and is forgotten a day later",
        "a transform that fails for good is not tried again, nor two at a time",
    ),
    "Network policy": (
        "no pod reaches the world, the node's metadata or a database",
        "a way out is of TCP, and to addresses",
        "a pod asks the cluster's own DNS alone",
        "nobody but the monitoring enters a pod",
        "the dispatcher alone reaches the cluster's API",
    ),
}
"""Row → the sentences that hold, each of which has a check of that name, and a mutation that breaks it."""
