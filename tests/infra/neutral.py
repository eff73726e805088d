"""Settings that no sentence of the security baseline is about, each with the reason, and who sees it change instead."""
# ruff: noqa: E501 - a pattern stands on one line

from typing import Final

WHOLE: Final = "how the pipeline works, not what it may: compared whole with"
NAMES: Final = "what it is called, in the account or for people"
SIZES: Final = "how much, by a setting that has its own limits"
COMPARED_JOB: Final = f"{WHOLE} the Job in test_transform_job.py"
COMPARED_DEPLOYMENT: Final = f"{WHOLE} the Deployment in test_dispatcher.py"
COMPARED_TASK: Final = f"{WHOLE} the definition in test_fargate_task.py and test_load.py"
SCHEMA: Final = "the API server knows no other; the schemas in test_scanners.py and the stand-in's refuse it"
VALUES: Final = "what the programs are told: tests/test_contract.py compares it with what they read"

NEUTRAL: Final = {
    # --- names and descriptions
    r".*\.description": NAMES,
    r"MetricAlarm\.(alarmDescription|name)": NAMES,
    r"Alias\.(name|targetKeyId)": "a key is used by its ARN; its alias is for people",
    r"(Cluster|Role|RolePolicy|Schedule|ScheduleGroup|SecurityGroup|LogGroup)\.name": NAMES
    + "; where a policy names it, agreed_policies.yaml does",
    r"Schedule\.groupName": "a schedule of another group would find no role that trusts it",
    r"EventTarget\.targetId": NAMES,
    r"BucketLifecycleConfiguration\.rules\.\*\.id": NAMES,
    r"v1:\w+\.metadata\.name": NAMES,
    r"v1:ValidatingAdmissionPolicy\.spec\.validations\.\*\.message": NAMES,
    r"v1:\w+\.(apiVersion|kind)": SCHEMA,
    r"v1:\w+\.metadata\.labels\.app\.kubernetes\.io/\w+": "for people: no policy selects by it",
    # --- amounts within the limits that a sentence sets
    r"BucketLifecycleConfiguration\.rules\.\*\.expiration\.days": SIZES,
    r"Instance\.(allocatedStorage|instanceClass|storageType|backupRetentionPeriod)": SIZES,
    r"TaskDefinition\.(cpu|memory|ephemeralStorage\.sizeInGib)": SIZES,
    r"TaskDefinition\.containerDefinitions\.\*\.(cpu|memory)": SIZES,
    r"Queue\.(messageRetentionSeconds|redrivePolicy\.maxReceiveCount)": SIZES,
    r"Queue\.(visibilityTimeoutSeconds|receiveWaitTimeSeconds)": "how soon a message comes back; it is never lost",
    r"v1:ResourceQuota\.spec\.hard\..*": "the numbers follow from the settings: test_namespace.py has the sum",
    r"StateMachine\.encryptionConfiguration\.kmsDataKeyReusePeriodSeconds": SIZES,
    r"v1:ConfigMap\.data\.job\.yaml\.spec\.activeDeadlineSeconds": SIZES,
    # --- created databases
    r"Instance\.(dbName|username)": "the names of a database and of RDS' own role",
    r"Instance\.allowMajorVersionUpgrade": "a new major is a change of the settings; without it RDS refuses that",
    r"Instance\.caCertIdentifier": "RDS has no certificate that the programs' bundle does not hold",
    r"Instance\.performanceInsightsEnabled": "what is measured is encrypted with the database's key, or not measured",
    # --- tasks
    r"TaskDefinition\.containerDefinitions\.\*\.(command\.\*|essential|name)": COMPARED_TASK,
    r"TaskDefinition\.containerDefinitions\.\*\.environment\.\*\.(name|value|value\.prod\.(bucket|owner))": VALUES,
    r"TaskDefinition\.containerDefinitions\.\*\.secrets\.\*\.(name|valueFrom)": VALUES
    + "; the role that starts the task reads its own secret alone",
    r"TaskDefinition\.containerDefinitions\.\*\.logConfiguration\.options\.awslogs-(region|stream-prefix)": COMPARED_TASK,
    r"TaskDefinition\.containerDefinitions\.\*\.mountPoints\.\*\.(readOnly|sourceVolume)": COMPARED_TASK,
    r"TaskDefinition\.containerDefinitions\.\*\.user": "any number that the host does not know",
    r"TaskDefinition\.(family|skipDestroy|volumes\.\*\.name)": COMPARED_TASK,
    r"TaskDefinition\.runtimePlatform\.(cpuArchitecture|operatingSystemFamily)": COMPARED_TASK,
    # --- machines and the schedule
    r"StateMachine\.definition\.(Comment|StartAt|TimeoutSeconds|States\..*)": f"{WHOLE} the definition in "
    "test_state_machines.py, and run through every path in test_state_machine_paths.py",
    r"Schedule\.(flexibleTimeWindow\.mode|scheduleExpression|scheduleExpressionTimezone)": "when a dump is taken",
    r"Schedule\.target\.(input\.LOAD_ENVIRONMENT|retryPolicy\.\w+)": f"{WHOLE} the schedule in test_nightly_run.py; "
    "the machine refuses an environment that it does not know",
    # --- the cluster
    r"v1:ConfigMap\.data\.(columns\.yaml|10_names\.sql)": "the rules, which a load knows by their digest",
    r"v1:ConfigMap\.data\.job\.yaml\.(apiVersion|kind)": SCHEMA,
    r"v1:ConfigMap\.data\.job\.yaml\.(metadata|spec\.template\.metadata)\..*": COMPARED_JOB,
    r"v1:ConfigMap\.data\.job\.yaml\.spec\.podFailurePolicy\.rules\..*": COMPARED_JOB
    + ", and its codes with the programs' in tests/test_contract.py",
    r"v1:ConfigMap\.data\.job\.yaml\.spec\.template\.spec\.restartPolicy": SCHEMA,
    r"v1:ConfigMap\.data\.job\.yaml\.spec\.template\.spec\.containers\.\*\.terminationMessagePolicy": COMPARED_JOB,
    r"v1:ConfigMap\.data\.job\.yaml\.spec\.template\.spec\.(volumes\..*|terminationGracePeriodSeconds)": COMPARED_JOB,
    r"v1:Deployment\.spec\.template\.spec\.(volumes\..*|terminationGracePeriodSeconds)": COMPARED_DEPLOYMENT,
    r"v1:(ConfigMap\.data\.job\.yaml|Deployment)\.spec\.template\.spec\.enableServiceLinks": "the namespace has no "
    "service: the quota allows none",
    r"v1:(ConfigMap\.data\.job\.yaml|Deployment)\.spec\.template\.spec\.securityContext\.(runAsUser|runAsGroup|fsGroup)": (
        "any number that the node does not know"
    ),
    r"v1:(ConfigMap\.data\.job\.yaml|Deployment)\.spec\.template\.spec\.containers\.\*\.(command\.\*|name)": (
        f"{WHOLE} both pods in test_transform_job.py and test_dispatcher.py"
    ),
    r"v1:(ConfigMap\.data\.job\.yaml|Deployment)\.spec\.template\.spec\.containers\.\*\.env\..*": VALUES,
    r"v1:(ConfigMap\.data\.job\.yaml|Deployment)\.spec\.template\.spec\.containers\.\*\.volumeMounts\..*": VALUES,
    r"v1:Deployment\.spec\.template\.spec\.containers\.\*\.(ports|livenessProbe|readinessProbe)\..*": COMPARED_DEPLOYMENT,
    r"v1:Deployment\.spec\.(revisionHistoryLimit|selector\..*|template\.metadata\..*)": COMPARED_DEPLOYMENT,
    r"v1:Deployment\.spec\.template\.spec\.automountServiceAccountToken": "the dispatcher is the one that has a token",
    r"v1:ServiceAccount\.automountServiceAccountToken": "the dispatcher is the one that has a token",
}
"""Pattern of `Leaf.place` → why a change of it breaks no sentence."""
