"""The database of a stage: adopted as it is, or created hardened."""

import pytest

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"


def test_an_adopted_database_is_only_looked_up(prod: Deployment) -> None:
    assert ("aws:rds/getInstance:getInstance", {"dbInstanceIdentifier": "marketplace-prod"}) in prod.invokes
    assert not [resource for resource in prod.resources if resource.type.startswith("aws:rds/")]


def test_an_adopted_database_with_several_groups_needs_the_one_that_admits_the_task(
    run: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = ["sg-0db0000000000000a", "sg-0db0000000000000b"]
    monkeypatch.setattr("tests.infra.engine.DATABASE_GROUPS", groups)
    with pytest.raises(Exception, match=r"marketplace-prod has the security groups sg-.*a setting must say which"):
        run("prod")
    with pytest.raises(Exception, match="sg-0db0000000000000c is none of them"):
        run("prod", sourceSecurityGroupId="sg-0db0000000000000c")
    chosen = run("prod", sourceSecurityGroupId=groups[1]).one("SecurityGroupIngressRule")
    assert chosen.inputs["securityGroupId"] == groups[1]


def test_a_created_database_is_private_encrypted_and_refuses_plaintext(run: Deploy) -> None:
    deployment = run("prod", sourceInstanceIdentifier=None, sourceCreate=True, sourceAuthentication="secret")
    key = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/extract-source-data-key"
    assert deployment.one("rds/instance:Instance").inputs == {
        "identifier": "postgres-etl-source-prod",
        "engine": "postgres",
        "engineVersion": "17",
        "allowMajorVersionUpgrade": True,
        "instanceClass": "db.t4g.medium",
        "allocatedStorage": 100,
        "storageType": "gp3",
        "storageEncrypted": True,
        "kmsKeyId": key,
        "dbName": "marketplace",
        "port": 5432,
        "username": "postgres",
        "manageMasterUserPassword": True,
        "masterUserSecretKmsKeyId": key,
        "iamDatabaseAuthenticationEnabled": True,
        "caCertIdentifier": "rds-ca-rsa2048-g1",
        "dbSubnetGroupName": "postgres-etl-source-prod",
        "vpcSecurityGroupIds": ["extract-source-security-group-id"],
        "parameterGroupName": "postgres-etl-source-prod-postgres17",
        "publiclyAccessible": False,
        "multiAz": True,
        "autoMinorVersionUpgrade": True,
        "copyTagsToSnapshot": True,
        "backupRetentionPeriod": 7,
        "deletionProtection": True,
        "skipFinalSnapshot": False,
        "finalSnapshotIdentifier": "postgres-etl-source-prod-final",
        "enabledCloudwatchLogsExports": ["postgresql", "upgrade"],
        "performanceInsightsEnabled": True,
        "performanceInsightsKmsKeyId": key,
    }
    assert {p["name"]: p["value"] for p in deployment.one("ParameterGroup").inputs["parameters"]} == {
        "rds.force_ssl": "1",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
    }
    later = run("prod", sourceInstanceIdentifier=None, sourceCreate=True, databaseEngineVersion="18")
    assert later.one("ParameterGroup").inputs["name"] != deployment.one("ParameterGroup").inputs["name"]
    logs = {g.inputs["name"]: g.inputs for g in deployment.all("LogGroup") if "/rds/" in g.inputs["name"]}
    group = {"retentionInDays": 365, "kmsKeyId": f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/operations-data-key"}
    assert logs == {
        f"/aws/rds/instance/postgres-etl-source-prod/{log}": {
            "name": f"/aws/rds/instance/postgres-etl-source-prod/{log}",
            **group,
        }
        for log in ("postgresql", "upgrade")
    }
    assert deployment.container("extract-task-definition")["secrets"] == [
        {"name": "DB_CREDENTIALS", "valueFrom": f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:rds"}
    ]
