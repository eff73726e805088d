"""What the security baseline leaves out on purpose, each with its reason; scanners' findings are measured by it."""

from __future__ import annotations

from typing import Final

from etl_infra.documents.baseline import Exemption

EXEMPTIONS: Final = (
    Exemption(
        row="Bucket",
        setting="replication to another region",
        reason="It would keep a second copy of personal data; a lost dump is taken again the next night.",
        rules=("CKV_AWS_144", "S3.7"),
        resources="*-bucket-bucket",
    ),
    Exemption(
        row="Bucket",
        setting="Object Lock",
        reason="Personal data must be deletable before its time; manifests are written once by the bucket's policy.",
        rules=("S3.15",),
    ),
    Exemption(
        row="Bucket",
        setting="MFA delete",
        reason="Only the account's root user can set it, and lifecycle rules could no longer be changed.",
        rules=("S3.20",),
    ),
    Exemption(
        row="Bucket",
        setting="event notifications",
        reason="A cleaned dump starts nothing by itself: a load is asked for.",
        rules=("CKV2_AWS_62", "S3.11"),
        resources="load-bucket-bucket",
    ),
    Exemption(
        row="Bucket",
        setting="an organisation, a network and an access log by default",
        reason="Their ids are the account's own, so they are settings; without accessLogBucket, CloudTrail data events "
        "are expected to record access.",
    ),
    Exemption(
        row="Bucket",
        setting="no force_destroy outside of protected environments",
        reason="There the stack takes its dumps with it: a raw dump that outlived its stack would be personal data "
        "that nobody looks after.",
    ),
    Exemption(
        row="Bucket",
        setting="If-None-Match on every write",
        reason="An attempt that is repeated writes its files again. A manifest, which is written once, names each file "
        "by version and digest, and readers take that version alone.",
    ),
    Exemption(
        row="Bucket",
        setting="the key's ARN compared as an ARN",
        reason="S3's condition key is compared as text in AWS's own examples; the ARN is exact.",
        rules=("parliament:MISMATCHED_TYPE_BUT_USABLE",),
        resources="*-bucket-policy",
    ),
    Exemption(
        row="Key",
        setting="a resource in the statements of a key's policy",
        reason='In a key\'s policy "*" is the key itself.',
        rules=("parliament:RESOURCE_STAR",),
        resources="*-data-key",
    ),
    Exemption(
        row="Queue",
        setting="a source in what lets EventBridge publish to the topic",
        reason="EventBridge gives a topic's policy no source to judge, nor the key of an encrypted topic: with one no "
        "notice would ever arrive. Another account's rule could at most send a false notice.",
    ),
    Exemption(
        row="Key",
        setting="a named role for who opens a shell",
        reason="Where ECS Exec is on, whom the account lets open one is its business; a session's key is decrypted by "
        "the named task alone.",
    ),
    Exemption(
        row="Key",
        setting="no Decrypt by those who only write or look at manifests",
        reason="A multipart upload needs Decrypt, and a bucket key has the bucket, not the object, as context. "
        "The bucket's policy denies them every object but manifests.",
    ),
    Exemption(
        row="Task definition",
        setting="no ECS Exec",
        reason="Off by default; a setting for development, where all that passes through a shell is logged.",
    ),
    Exemption(
        row="Task definition",
        setting="a read-only root while ECS Exec is on",
        reason="ECS Exec writes its agent into the root.",
        rules=("ECS.5",),
    ),
    Exemption(
        row="Task definition",
        setting="no revision left when a stack changes or ends",
        reason="An execution that is under way starts its second attempt from the revision that it knows. A revision "
        "holds no data, runs nothing by itself and stands in no later one's way.",
    ),
    Exemption(
        row="Task role",
        setting="no List",
        reason="Without s3:ListBucket S3 answers 403 for a manifest that is not there, as for one that is forbidden. "
        "The load, which is told what to read, has none.",
    ),
    Exemption(
        row="Task role",
        setting="a resource in the statements that say who assumes a role",
        reason="A trust policy has none; the scanner takes every document for one that grants.",
        rules=("parliament:MALFORMED",),
        resources="*-role",
    ),
    Exemption(
        row="State machine role",
        setting="an express execution's ARN in states:DescribeExecution",
        reason="Both machines are standard ones; the scanner knows no other form.",
        rules=("parliament:RESOURCE_MISMATCH",),
        resources="access-policy",
    ),
    Exemption(
        row="State machine",
        setting="execution data in the log",
        reason="Input and output are whatever a caller sent; ids are in the history, which is encrypted.",
        rules=("CKV_AWS_285",),
        resources="*-machine",
    ),
    Exemption(
        row="State machine",
        setting="a second attempt for a task that Fargate retires",
        reason="Fargate gives notice a week ahead, and a run lasts hours: a task ends before its host does. One that "
        "is stopped all the same is a notice, and is started again by a new execution.",
    ),
    Exemption(
        row="State machine",
        setting="size, digest and execution of a manifest in the state machine",
        reason="The machine asks whether it is there; the dump task has read back all that it names, and whoever reads "
        "it next checks every part of it.",
    ),
    Exemption(
        row="State machine",
        setting="a customer managed key for the nightly schedule",
        reason="The schedule holds the name of an environment; AWS's own key encrypts it.",
        rules=("CKV_AWS_297",),
        resources="extract-nightly-schedule",
    ),
    Exemption(
        row="Security group",
        setting="attachment of a task's group",
        reason="It is attached when the state machine runs the task, which no plan shows.",
        rules=("CKV2_AWS_5", "EC2.22"),
        resources="*-task-security-group",
    ),
    Exemption(
        row="Database",
        setting="enhanced monitoring",
        reason="Its agent lists processes, whose titles hold the text of queries; Performance Insights is on.",
        rules=("CKV_AWS_118", "RDS.6"),
        resources="*-instance",
    ),
    Exemption(
        row="Database",
        setting="query logging",
        reason="The text of a query may hold personal data.",
        rules=("RDS.36",),
        resources="*-instance",
    ),
    Exemption(
        row="Database",
        setting="the settings of an adopted database",
        reason="They are its owner's; the programs refuse a server without TLS.",
    ),
    Exemption(
        row="Secret",
        setting="rotation of the salt",
        reason="With another salt every pseudonym changes, and one night's data no longer fits the last one's. It is "
        "changed by hand when it may be known.",
        rules=("CKV2_AWS_57", "SecretsManager.1", "SecretsManager.4"),
        resources="transform-salt",
    ),
    Exemption(
        row="Image",
        setting="immutable tags, scan on push and a key of the repositories",
        reason="The repositories exist in three accounts before any stack; images are named by digest.",
        rules=("CKV_AWS_51", "CKV_AWS_136", "CKV_AWS_163", "ECR.1", "ECR.2"),
    ),
    Exemption(
        row="Cluster identity",
        setting="a federation source that the scanner knows",
        reason="It is the cluster's own OIDC provider, named by its ARN, with exact subject and audience.",
        rules=("parliament:UNKNOWN_FEDERATION_SOURCE",),
        resources="transform-*-identity-role",
    ),
    Exemption(
        row="Cluster identity",
        setting="a hop limit of 1 on the nodes' metadata",
        reason="The nodes are the cluster's owner's; no network policy of the namespace lets a pod reach it.",
    ),
    Exemption(
        row="Deployment",
        setting="no mounted service account token",
        reason="The dispatcher creates Jobs; the transform, which reads personal data, has no token.",
        rules=("CKV_K8S_38",),
        resources="dispatcher",
    ),
    Exemption(
        row="Deployment",
        setting="a disruption budget",
        reason="With one replica it would only hold up the draining of a node; messages wait.",
        rules=("kube-score:deployment-has-poddisruptionbudget",),
    ),
    Exemption(
        row="Network policy",
        setting="S3's addresses of the day",
        reason="A policy of the cluster takes no prefix list: the addresses are those of the last `pulumi up`. A new "
        "one is out of reach until the next, and a dump that was due is found and cleaned then.",
    ),
)
"""All of them. A finding of a scanner that none of them explains fails the tests, as does one that explains nothing."""
