"""Database: the Postgres instance of a stage, adopted by its identifier or created hardened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from etl_infra.components.data_key import DataKey, DataKeyArgs
from etl_infra.components.private_subnets import private_subnets
from etl_infra.components.protection import holding_data
from etl_infra.documents.iam import Statement
from etl_infra.documents.key_conditions import through
from etl_infra.documents.key_policy import KeyUse, key_policy, rds_uses
from etl_infra.documents.task_roles import connect_to_database
from etl_infra.naming import Home, database_log_groups
from etl_infra.stack_settings import DatabaseSettings, NetworkSettings, NewDatabaseSettings

POSTGRES_PORT: Final = 5432
BACKUP_RETENTION_DAYS: Final = 7
PARAMETERS: Final = {
    "rds.force_ssl": "1",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
}
"""TLS alone; who came and went is logged, and the text of no statement."""


class SecurityGroupError(Exception):
    """An adopted instance has not the security group through which a task would reach it."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Which database, and where a created one stands: who deploys it, and whose role reads its sign-in."""

    home: Home
    noun: str
    settings: DatabaseSettings
    network: NetworkSettings
    log_key_arn: pulumi.Input[str]
    log_retention_days: int
    deployer_role_arns: Sequence[str]
    sign_in_role_arn: str
    protected: bool


class Database(pulumi.ComponentResource):
    """A Postgres instance and how a task reaches it. `storage_gib` is 0 where it grows without end.

    An adopted instance is only read; the defaults are those of a created one.

    Defaults:
        - encrypted with a key of its own, not public, TLS enforced, IAM sign-in on
        - its master password made and rotated by RDS in Secrets Manager
        - in two zones, backed up, safe from deletion where it is protected
        - its logs exported to encrypted groups that end, without the text of any query: that may hold personal data
    """

    host: pulumi.Output[str]
    port: pulumi.Output[int]
    storage_gib: pulumi.Output[int]
    security_group_id: pulumi.Output[str]
    credentials_secret_arn: pulumi.Output[str] | None

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Database", name, None, opts)
        self._home, self._settings = args.home, args.settings
        given = args.settings.credentials_secret_arn
        self.credentials_secret_arn = pulumi.Output.from_input(given) if given else None
        if args.settings.new is None:
            self._adopt(args.settings)
        else:
            self._create(name, args, args.settings.new)
        self.register_outputs({"host": self.host, "port": self.port})

    def sign_in(self) -> list[Statement]:
        """Sign in by token, where that is the way; a secret is read by the execution role instead."""
        if self._settings.authentication != "iam":
            return []
        return [connect_to_database(self._home, self._resource_id, self._settings.user)]

    def _adopt(self, settings: DatabaseSettings) -> None:
        instance = aws.rds.get_instance_output(
            db_instance_identifier=settings.instance_identifier, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        self.host, self.port = instance.address, instance.port
        # Aurora's storage grows by itself, and its instances say 1: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
        self.storage_gib = instance.allocated_storage.apply(lambda gib: gib if gib > 1 else 0)
        self.security_group_id = instance.vpc_security_groups.apply(lambda groups: _admitting(settings, groups))
        self._resource_id = instance.resource_id

    def _key_uses(self, args: DatabaseArgs) -> list[KeyUse]:
        uses = rds_uses(args.home, args.deployer_role_arns)
        if args.settings.authentication == "secret" and args.settings.credentials_secret_arn is None:
            uses.append(
                KeyUse(
                    sid="AllowReadingMasterSecret",
                    role_arns=(args.sign_in_role_arn,),
                    only_when=through(args.home, "secretsmanager"),
                    actions=("kms:Decrypt",),
                )
            )
        return uses

    def _create(self, name: str, args: DatabaseArgs, new: NewDatabaseSettings) -> None:
        child = pulumi.ResourceOptions(parent=self)
        identifier = args.home.name(args.noun)
        key = DataKey(
            f"{name}-data",
            DataKeyArgs(
                home=args.home,
                noun=f"{args.noun}-database",
                description=f"Database {identifier}",
                policy=key_policy(args.home, self._key_uses(args)),
                protected=args.protected,
            ),
            child,
        )
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", name=identifier, subnet_ids=private_subnets(args.network, self), opts=child
        )
        group = aws.ec2.SecurityGroup(
            f"{name}-security-group",
            name=identifier,
            # EC2 takes no apostrophe here:
            # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
            description=f"Database {identifier}: entered by tasks of the pipeline alone",
            vpc_id=args.network.vpc_id,
            opts=child,
        )
        family = f"postgres{new.engine_version}"
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            # another major is another group, made before the instance leaves this one
            name=f"{identifier}-{family}",
            family=family,
            parameters=[{"name": key, "value": value} for key, value in PARAMETERS.items()],
            opts=child,
        )
        log_groups = {
            log: aws.cloudwatch.LogGroup(
                f"{name}-{log}-logs",
                name=log_group,
                retention_in_days=args.log_retention_days,
                kms_key_id=args.log_key_arn,
                opts=child,
            )
            for log, log_group in database_log_groups(identifier).items()
        }
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=identifier,
            engine="postgres",
            # the major alone: RDS takes the minor ones by itself, and a named one would be a downgrade the next day
            engine_version=new.engine_version,
            allow_major_version_upgrade=True,
            instance_class=new.instance_class,
            allocated_storage=new.storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            db_name=args.settings.name,
            port=POSTGRES_PORT,
            username="postgres",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.arn,
            iam_database_authentication_enabled=True,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=parameters.name,
            publicly_accessible=False,
            multi_az=True,
            auto_minor_version_upgrade=True,
            copy_tags_to_snapshot=True,
            backup_retention_period=BACKUP_RETENTION_DAYS,
            deletion_protection=args.protected,
            # a snapshot would outlive its stack, and its name stand in the way of the next one's
            skip_final_snapshot=not args.protected,
            final_snapshot_identifier=f"{identifier}-final" if args.protected else None,
            enabled_cloudwatch_logs_exports=list(log_groups),
            performance_insights_enabled=True,
            performance_insights_kms_key_id=key.arn,
            # RDS would make the groups itself, unencrypted and without end
            opts=holding_data(self, list(log_groups.values()), protected=args.protected),
        )
        self.host, self.port = instance.address, instance.port
        self.storage_gib = pulumi.Output.from_input(new.storage_gib)
        self.security_group_id = group.id
        self._resource_id = instance.resource_id
        if args.settings.authentication == "secret" and self.credentials_secret_arn is None:
            self.credentials_secret_arn = instance.master_user_secrets[0].secret_arn


def _admitting(settings: DatabaseSettings, groups: Sequence[str]) -> str:
    """The group of an adopted instance that admits the task."""
    named = settings.security_group_id or (groups[0] if len(groups) == 1 else "")
    if named not in groups:
        raise SecurityGroupError(
            f"{settings.instance_identifier} has the security groups {', '.join(groups)}: "
            + (f"{named} is none of them" if named else "a setting must say which of them admits the task")
        )
    return named
