"""The program as a whole: what each stack holds, who owns it, what it exports, and how long it takes."""

import re

import pytest

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

PROD = "974531504241"


def test_a_stack_holds_the_stages_that_its_settings_switch_on(
    dev: Deployment, sbx: Deployment, prod: Deployment
) -> None:
    stages = ("Extract", "Transform", "Load")
    assert {
        name: [stage for stage in stages if deployment.all(stage)]
        for name, deployment in (("dev", dev), ("sbx", sbx), ("prod", prod))
    } == {"dev": ["Extract", "Transform", "Load"], "sbx": ["Load"], "prod": ["Extract", "Transform"]}


def test_every_resource_is_the_child_of_a_stage(dev: Deployment) -> None:
    parents = {resource.name: resource.parent for resource in dev.resources if resource.type.startswith("etl:")}
    roots = {"extract", "transform", "load", "operations", "access"}
    for resource in dev.resources:
        if resource.type.startswith("pulumi:providers:"):
            continue
        name = resource.name if resource.type.startswith("etl:") else resource.parent
        while name not in roots:
            assert name in parents, f"{resource.type} {resource.name} has no stage above it"
            name = parents[name]


def test_every_resource_goes_through_the_stacks_own_provider(dev: Deployment) -> None:
    used = {resource.provider for resource in dev.resources if resource.type.startswith("aws:")}
    assert used == {"aws"}
    assert {r.provider for r in dev.resources if r.type.startswith("kubernetes:")} == {"kubernetes"}


def test_the_aws_provider_refuses_other_accounts_and_tags_everything(prod: Deployment) -> None:
    provider = prod.one("pulumi:providers:aws")
    assert provider.inputs["region"] == "eu-west-2"
    assert provider.document("allowedAccountIds") == [PROD]
    assert provider.document("defaultTags") == {
        "tags": {"Migrator": "postgres-etl", "Environment": "prod", "ManagedBy": "pulumi"}
    }


def test_a_stack_without_a_cluster_needs_no_kubernetes(sbx: Deployment) -> None:
    assert not [resource for resource in sbx.resources if "kubernetes" in resource.type]


def test_the_cluster_is_the_one_that_a_setting_names(run: Deploy) -> None:
    assert run("prod", kubernetesContext="blue").one("pulumi:providers:kubernetes").inputs["context"] == "blue"


def test_the_outputs_of_a_whole_pipeline_are_these(dev: Deployment) -> None:
    account = "473251818902"
    assert dev.exports == {
        "environment": "dev",
        "region": "eu-west-2",
        "extract_state_machine_arn": f"arn:aws:states:eu-west-2:{account}:stateMachine:postgres-etl-rds-to-s3",
        "load_state_machine_arn": f"arn:aws:states:eu-west-2:{account}:stateMachine:postgres-etl-s3-to-rds",
        "dump_queue_url": f"https://sqs.eu-west-2.amazonaws.com/{account}/postgres-etl-s3",
        "dead_letter_queue_url": f"https://sqs.eu-west-2.amazonaws.com/{account}/postgres-etl-s3-dlq",
        "extract_bucket": f"postgres-etl-extract-dev-{account}",
        "load_bucket": f"postgres-etl-load-dev-{account}",
        "load_buckets": {"dev": {"bucket": f"postgres-etl-load-dev-{account}", "owner": account}},
        "transform_namespace": "postgres-etl",
        "extract_log_group": "/postgres-etl/dev/pg_dump",
        "load_log_group": "/postgres-etl/dev/pg_restore",
        "jenkins_role_arn": f"arn:aws:iam::{account}:role/postgres-etl-jenkins-dev",
    }


def test_a_stack_exports_nothing_of_a_stage_that_it_lacks(sbx: Deployment, prod: Deployment) -> None:
    assert set(sbx.exports) == {
        "environment", "region", "load_state_machine_arn", "load_bucket", "load_log_group", "jenkins_role_arn",
    }  # fmt: skip
    assert not {"load_state_machine_arn", "load_bucket", "load_log_group"} & set(prod.exports)


def test_what_holds_data_is_protected_in_production_alone(prod: Deployment, dev: Deployment) -> None:
    holding = ("s3/bucket:Bucket", "sqs/queue:Queue", "secretsmanager/secret:Secret", "key:Key")
    assert {r.name for r in prod.resources if r.protect} == {r.name for kind in holding for r in prod.all(kind)}
    assert not [r.name for r in dev.resources if r.protect]


def test_nothing_that_is_replaced_by_a_new_version_is_protected(prod: Deployment) -> None:
    for kind in (
        "TaskDefinition", "StateMachine", "v1:Deployment", "v1:ConfigMap", "SecretVersion", "MetricAlarm", "EventRule",
    ):  # fmt: skip
        assert prod.all(kind)
        assert not [resource.name for resource in prod.all(kind) if resource.protect]


def test_the_salt_is_the_only_secret_and_stays_one(dev: Deployment) -> None:
    assert {(r.name, key) for r in dev.resources for key in r.secrets} == {("transform-salt-value", "secretString")}


@pytest.mark.parametrize("stack", ["dev", "sbx"])
def test_account_ids_come_from_the_settings_alone(stack: str, run: Deploy) -> None:
    account, protected = "111122223333", "444455556666"
    image = f"{account}.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:{'0' * 64}"
    deployment = run(
        stack,
        awsAccountId=account,
        protectedAccountIds=[protected],
        deployerRoleArns=[f"arn:aws:iam::{account}:role/deployer"],
        jenkinsPrincipalArns=[],
        imageRepositoryAccounts={stack: account},
        images={"migrator": image, "transform": image, "dispatcher": image},
        loadBuckets={"dev": {"bucket": f"postgres-etl-load-dev-{account}", "owner": account}},
        eksOidcProviderArn=f"arn:aws:iam::{account}:oidc-provider/oidc.eks.eu-west-2.amazonaws.com/id/A",
        transformRoleArns=[f"arn:aws:iam::{account}:role/transform"],
        dispatcherRoleArns=[],
    )
    accounts = set(re.findall(r"\b\d{12}\b", repr([resource.inputs for resource in deployment.resources])))
    assert accounts == {account, protected}
