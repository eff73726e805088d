"""Transform: the namespace in which dumps are cleaned, its two identities, the rules, the salt and the dispatcher."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s
from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.components.data_key import DataKey, DataKeyArgs
from etl_infra.components.dispatcher import Dispatcher, DispatcherArgs
from etl_infra.components.object_meta import object_meta
from etl_infra.components.pipeline_namespace import PipelineNamespace, PipelineNamespaceArgs
from etl_infra.components.protection import guarding_data, holding_data
from etl_infra.components.workload_admission import WorkloadAdmission, WorkloadAdmissionArgs
from etl_infra.components.workload_identity import WorkloadIdentity, WorkloadIdentityArgs
from etl_infra.documents import dispatcher_pod, transform_job
from etl_infra.documents.cleaned_dumps import read_cleaned_manifests, write_cleaned_dumps
from etl_infra.documents.container_definition import SCRATCH_PATH
from etl_infra.documents.iam import Statement, Text
from etl_infra.documents.key_conditions import through
from etl_infra.documents.key_policy import KeyUse, key_policy
from etl_infra.documents.network_policy import Ways
from etl_infra.documents.pod import PodSize
from etl_infra.documents.secret_policy import secret_policy
from etl_infra.documents.task_roles import read_secret
from etl_infra.documents.transform_job import SCRUB_PATH, TransformJob, job_template
from etl_infra.extract import Extract
from etl_infra.stack_settings import StackSettings, TransformSettings

SCRUB_CONFIG_MAP: Final = "scrub-rules"
SALT_RECOVERY_DAYS: Final = 30
BESIDE_SCRATCH_GIB: Final = 1  # logs and the mounted rules


@dataclass(frozen=True, kw_only=True)
class TransformArgs:
    """The stack, its transform settings, and the extract stage whose dumps are cleaned."""

    stack: StackSettings
    settings: TransformSettings
    extract: Extract


class Transform(pulumi.ComponentResource):
    """Cleans dumps in Kubernetes, one Job a dump, started by the dispatcher; no Job is registered here."""

    namespace: pulumi.Output[str]

    def __init__(self, name: str, args: TransformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Transform", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        home, settings = args.stack.home, args.settings
        load_buckets = args.extract.load_buckets
        self._shared: dict[Env, Text] = {
            Env.ENVIRONMENT_NAME: home.environment,
            Env.AWS_REGION: home.region,
            Env.EXTRACT_BUCKET: args.extract.bucket.name,
            Env.EXTRACT_BUCKET_OWNER: home.account_id,
            Env.LOAD_BUCKETS: contract.load_buckets_text(load_buckets),
        }
        self.namespace = self._create_namespace()
        salt_arn = self._create_salt()
        self._create_rules()
        admission = self._create_admission()
        self._create_identity(
            transform_job.SERVICE_ACCOUNT,
            [
                *args.extract.bucket.read_objects(),
                args.extract.bucket.list_objects(),
                *write_cleaned_dumps(home, load_buckets),
                *read_secret("Salt", salt_arn, home),
                *(
                    statement
                    for number, arn in enumerate(settings.scrub_secret_arns.values(), 1)
                    for statement in read_secret(f"ScriptVariable{number}", arn, home)
                ),
            ],
        )
        self._create_identity(
            dispatcher_pod.SERVICE_ACCOUNT,
            [
                *args.extract.queue.consume_messages(),
                *args.extract.bucket.read_manifests(),
                args.extract.bucket.list_objects(),
                *read_cleaned_manifests(home, load_buckets),
            ],
            uses_kubernetes_api=True,
        )
        Dispatcher(
            f"{name}-dispatcher",
            DispatcherArgs(
                namespace=settings.cluster.namespace,
                namespace_name=self.namespace,
                image=args.stack.images.dispatcher,
                job_template=job_template(self._job(salt_arn)),
                environment={
                    **self._shared,
                    Env.QUEUE_URL: args.extract.queue.url,
                    Env.DEAD_LETTER_QUEUE_URL: args.extract.queue.dead_letter_url,
                    Env.MAX_ACTIVE_JOBS: str(settings.max_active_jobs),
                },
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[admission]),
        )
        self.register_outputs({"namespace": self.namespace})

    def _create_namespace(self) -> pulumi.Output[str]:
        network, cluster = self._args.stack.network, self._args.settings.cluster
        s3 = aws.ec2.get_managed_prefix_list_output(
            name=f"com.amazonaws.{self._args.stack.home.region}.s3", opts=pulumi.InvokeOutputOptions(parent=self)
        )
        return PipelineNamespace(
            f"{self._name}-cluster",
            PipelineNamespaceArgs(
                namespace=cluster.namespace,
                max_active_jobs=self._args.settings.max_active_jobs,
                job_size=self._job_size(),
                ways=Ways(
                    aws_endpoint_cidrs=network.aws_endpoint_cidrs,
                    s3_cidrs=s3.entries.apply(lambda entries: [entry.cidr for entry in entries]),
                    api_cidrs=(f"{cluster.service_address}/32", *cluster.api_cidrs),
                    node_dns_address=cluster.node_dns_address,
                    monitoring_namespace=cluster.monitoring_namespace,
                    pod_identity=bool(cluster.eks_cluster_name),
                ),
            ),
            self._child,
        ).name

    def _create_salt(self) -> pulumi.Output[str]:
        home = self._args.stack.home
        transform_role_arn = home.role_arn(transform_job.SERVICE_ACCOUNT)
        is_protected = self._args.stack.is_protected
        guard = guarding_data(self, protected=is_protected)
        key = DataKey(
            f"{self._name}-salt-data",
            DataKeyArgs(
                home=home,
                noun="salt",
                description="Salt of the pseudonyms",
                policy=key_policy(
                    home,
                    [
                        KeyUse(
                            sid="AllowDeployersThroughSecretsManager",
                            role_arns=self._args.stack.deployer_role_arns,
                            only_when=through(home, "secretsmanager"),
                        ),
                        KeyUse(
                            sid="AllowTransformThroughSecretsManager",
                            role_arns=(transform_role_arn,),
                            only_when=through(home, "secretsmanager"),
                            actions=("kms:Decrypt",),
                        ),
                    ],
                ),
                protected=is_protected,
            ),
            self._child,
        )
        secret = aws.secretsmanager.Secret(
            f"{self._name}-salt",
            name=home.name("scrub-salt"),
            description="Salt of the pseudonyms: with it, and a list of people, they could be undone",
            kms_key_id=key.arn,
            # elsewhere a secret that could be recovered would stand in the way of the next stack's
            recovery_window_in_days=SALT_RECOVERY_DAYS if is_protected else 0,
            opts=holding_data(self, protected=is_protected),
        )
        aws.secretsmanager.SecretPolicy(
            f"{self._name}-salt-policy",
            secret_arn=secret.arn,
            policy=pulumi.Output.json_dumps(
                secret_policy(secret.arn, [transform_role_arn, *self._args.stack.deployer_role_arns])
            ),
            block_public_policy=True,
            opts=guard,
        )
        aws.secretsmanager.SecretVersion(
            f"{self._name}-salt-value",
            secret_id=secret.id,
            secret_string=self._args.settings.scrub_salt,
            # another salt is another version, which must be able to take this one's place
            opts=guard,
        )
        return secret.arn

    def _create_rules(self) -> None:
        files = contract.scrub_files(self._args.settings.scrub_directory)
        k8s.core.v1.ConfigMap(
            f"{self._name}-scrub-rules",
            metadata=object_meta(
                contract.TRANSFORM_CONTAINER,
                SCRUB_CONFIG_MAP,
                self.namespace,
                {"postgres-etl/rules-sha256": contract.rules_digest(self._args.settings.scrub_directory)},
            ),
            data={path.name: path.read_text(encoding="utf-8") for path in files},
            opts=self._child,
        )

    def _create_admission(self) -> WorkloadAdmission:
        images = self._args.stack.images
        return WorkloadAdmission(
            f"{self._name}-admission",
            WorkloadAdmissionArgs(
                namespace=self._args.settings.cluster.namespace,
                job_image=images.transform,
                images=(images.transform, images.dispatcher),
            ),
            self._child,
        )

    def _create_identity(
        self, service_account: str, statements: list[Statement], *, uses_kubernetes_api: bool = False
    ) -> None:
        cluster = self._args.settings.cluster
        WorkloadIdentity(
            f"{self._name}-{service_account}-identity",
            WorkloadIdentityArgs(
                home=self._args.stack.home,
                service_account=service_account,
                cluster=cluster,
                namespace_name=self.namespace,
                statements=statements,
                uses_kubernetes_api=uses_kubernetes_api,
            ),
            self._child,
        )

    def _script_variables(self) -> dict[Env, Text]:
        settings = self._args.settings
        texts = {Env.SCRUB_VARIABLES: settings.scrub_variables, Env.SCRUB_SECRET_IDS: settings.scrub_secret_arns}
        return {name: json.dumps(dict(sorted(text.items()))) for name, text in texts.items() if text}

    def _job_size(self) -> PodSize:
        settings = self._args.settings
        return PodSize(
            cpu_millis=settings.cpu_millis,
            memory_mib=settings.memory_mib,
            storage_gib=settings.storage_gib + BESIDE_SCRATCH_GIB,
        )

    def _job(self, salt_arn: Text) -> TransformJob:
        settings, image = self._args.settings, self._args.stack.images.transform
        return TransformJob(
            namespace=settings.cluster.namespace,
            image=image,
            scrub_config_map=SCRUB_CONFIG_MAP,
            size=self._job_size(),
            scratch_gib=settings.storage_gib,
            timeout_seconds=settings.timeout_minutes * 60,
            environment={
                **self._shared,
                Env.MOUNT_POINT: SCRATCH_PATH,
                Env.SCRUB_DIRECTORY: SCRUB_PATH,
                Env.SCRUB_SALT_SECRET_ID: salt_arn,
                Env.TRANSFORM_JOBS: str(settings.jobs),
                Env.PROOF_SCOPE: settings.proof_scope,
                **self._script_variables(),
                Env.IMAGE: image,
            },
        )
