"""PrivateBucket: a bucket of dumps with a key of its own, and what its users may do in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from etl_infra import naming
from etl_infra.components.data_key import DataKey, DataKeyArgs
from etl_infra.components.protection import guarding_data, holding_data
from etl_infra.documents.bucket_policy import (
    READ_OBJECT,
    WRITE_OBJECT,
    bucket_policy,
    deny_outside,
    deny_reading_dumps,
    grant_manifest_readers,
    grant_writers,
    manifests_of,
    objects_of,
)
from etl_infra.documents.iam import Statement, allow, joined
from etl_infra.documents.key_conditions import through
from etl_infra.documents.key_policy import USE, KeyUse, key_policy
from etl_infra.naming import Home
from etl_infra.stack_settings import BoundarySettings


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """A bucket by stage, how long it keeps a dump (days), and the roles that use it.

    All of them may use the key. Writers and readers have their rights in the bucket from their own policies; admitted
    ones, who may be of another account, need the bucket's word as well. `role_arns_outside` are those that work from
    outside of the boundary's network. Dumps, other than manifests, are read by the dump readers alone, whatever any
    other role is allowed. A bucket that is not `protected` goes with its stack, dumps and all.
    """

    home: Home
    stage: str
    retention_days: int
    writer_role_arns: Sequence[str]
    reader_role_arns: Sequence[str]
    boundary: BoundarySettings
    role_arns_outside: Sequence[str]
    access_log_bucket: str | None
    dump_reader_role_arns: Sequence[str]
    protected: bool
    admitted_writer_role_arns: Sequence[str] = ()
    admitted_reader_role_arns: Sequence[str] = ()


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that only named roles reach.

    Defaults:
        - no public access by any door, no ACLs, no plaintext transport
        - versioned; encrypted with a key of its own; neither another key nor a caller's own is accepted
        - a manifest is written once: without If-None-Match it is refused
        - of a dump one role reads more than its manifest, and no policy of another can change that
        - dumps expire, old versions a day after they were replaced, unfinished uploads after a day
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:PrivateBucket", name, None, opts)
        guard = guarding_data(self, protected=args.protected)
        self._home = args.home
        self.key_arn = self._key(name, args).arn
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.home.bucket(args.stage).name,
            force_destroy=not args.protected,
            opts=holding_data(self, protected=args.protected),
        )
        self.name, self.arn = bucket.bucket, bucket.arn
        access = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access-block",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=guard,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=guard
        )
        aws.s3.BucketVersioning(
            f"{name}-versioning", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=guard
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
                    "bucket_key_enabled": True,
                    "blocked_encryption_types": ["SSE-C"],
                }
            ],
            opts=guard,
        )
        self._lifecycle(name, args)
        self.policy = aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            policy=pulumi.Output.json_dumps(
                bucket_policy(
                    bucket.arn,
                    self.key_arn,
                    deny_reading_dumps(bucket.arn, args.dump_reader_role_arns),
                    *deny_outside(bucket.arn, args.boundary, args.role_arns_outside),
                    *grant_writers(bucket.arn, args.admitted_writer_role_arns),
                    *grant_manifest_readers(bucket.arn, args.admitted_reader_role_arns),
                )
            ),
            # S3 answers 409 when both are changed at the same time
            opts=guarding_data(self, [access], protected=args.protected),
        )
        if args.access_log_bucket:
            aws.s3.BucketLogging(
                f"{name}-access-log",
                bucket=bucket.bucket,
                target_bucket=args.access_log_bucket,
                target_prefix=f"{args.home.bucket(args.stage).name}/",
                opts=guard,
            )
        self.register_outputs({"name": self.name, "arn": self.arn})

    def write_objects(self, prefixes: Sequence[str]) -> list[Statement]:
        """Write dumps below some prefixes, and see which exist there already; delete nothing, read no dump."""
        places = [joined(self.arn, f"/{prefix}") for prefix in prefixes]
        return [
            allow("AllowWritingDumps", WRITE_OBJECT, [objects_of(place) for place in places]),
            self.list_objects(),
            allow("AllowReadingManifests", READ_OBJECT, [manifests_of(place) for place in places]),
            self._use_key("AllowUsingBucketKey", USE),
        ]

    def read_objects(self, prefix: str = "") -> list[Statement]:
        """Read the dumps under a prefix, in any version."""
        return [
            allow("AllowReadingDumps", READ_OBJECT, (joined(self.arn, f"/{prefix}*"),)),
            self._use_key("AllowDecryptingDumps", ("kms:Decrypt",)),
        ]

    def read_manifests(self, sid: str = "") -> list[Statement]:
        """Read which dumps exist, and no dump."""
        return [
            allow(f"AllowReading{sid}Manifests", READ_OBJECT, (manifests_of(self.arn),)),
            self._use_key(f"AllowDecrypting{sid}Manifests", ("kms:Decrypt",)),
        ]

    def list_objects(self) -> Statement:
        """List keys; without it S3 answers 403 instead of 404 for a key that is not there."""
        return allow("AllowListingDumps", ("s3:ListBucket",), (self.arn,))

    def find_manifests(self) -> Statement:
        """Ask by HEAD whether a manifest is there, which needs no key."""
        return allow("AllowFindingManifests", ("s3:GetObject",), (manifests_of(self.arn),))

    def _use_key(self, sid: str, actions: Sequence[str]) -> Statement:
        return allow(sid, actions, (self.key_arn,), {"StringEquals": through(self._home, "s3")})

    def _key(self, name: str, args: PrivateBucketArgs) -> DataKey:
        writers = [*args.writer_role_arns, *args.admitted_writer_role_arns]
        readers = [*args.reader_role_arns, *args.admitted_reader_role_arns]
        uses = [
            KeyUse(sid="AllowWritersThroughS3", role_arns=writers, only_when=through(args.home, "s3")),
            KeyUse(
                sid="AllowReadersThroughS3",
                role_arns=readers,
                only_when=through(args.home, "s3"),
                actions=("kms:Decrypt",),
            ),
        ]
        return DataKey(
            f"{name}-data",
            DataKeyArgs(
                home=args.home,
                noun=f"{args.stage}-dumps",
                description=f"Dumps in {naming.bucket_arn(args.home.bucket(args.stage).name)}",
                policy=key_policy(args.home, uses),
                protected=args.protected,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _lifecycle(self, name: str, args: PrivateBucketArgs) -> None:
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.name,
            rules=[
                {
                    "id": "expire-dumps",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": args.retention_days},
                    "noncurrent_version_expiration": {"noncurrent_days": 1},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                },
                {
                    "id": "remove-delete-markers",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"expired_object_delete_marker": True},
                },
            ],
            opts=guarding_data(self, protected=args.protected),
        )
