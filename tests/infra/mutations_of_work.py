"""Mutations of what works: tasks, machines, roles and pods; one setting each, and the one sentence that it breaks."""
# ruff: noqa: E501 - a mutation stands on one line

from typing import Any, Final

from tests.infra.mutation import REMOVED
from tests.infra.mutation import Mutation as M  # noqa: N817 - some hundred times below

POLICY = ("policy", "Statement")
TRUST = ("assumeRolePolicy", "Statement", 0)
SOMEBODY = [{"kind": "ServiceAccount", "name": "default"}]


def container(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of the container of the extract task."""
    return M(sentence, "TaskDefinition", "extract-task-definition", ("containerDefinitions", 0, *path), value)


def machine(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of the definition of the extract machine."""
    return M(sentence, "StateMachine", "extract-rds-to-s3-machine", ("definition", *path), value)


def run(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of what the extract machine runs its task with."""
    return machine(sentence, "States", "DumpSourceDatabase", "Parameters", *path, value=value)


def role(sentence: str, name: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of what a role may do."""
    return M(sentence, "RolePolicy", name, (*POLICY, *path), value)


def trust(sentence: str, name: str, *path: Any, value: Any = REMOVED, stack: str = "whole") -> M:
    """A change of who assumes a role."""
    return M(sentence, "iam/role:Role", name, (*TRUST, *path), value, stack)


def job(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of the Job template."""
    return M(sentence, "v1:ConfigMap", "transform-dispatcher-job-template", ("data", "job.yaml", "spec", *path), value)


def job_pod(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of the pod of the Job template."""
    return job(sentence, "template", "spec", *path, value=value)


def dispatcher(sentence: str, *path: Any, value: Any = REMOVED) -> M:
    """A change of the dispatcher's Deployment."""
    return M(sentence, "v1:Deployment", "transform-dispatcher-deployment", ("spec", *path), value)


# fmt: off
TASKS: Final = [
    M("a task runs on Fargate in a network interface of its own", "TaskDefinition", "load-task-definition", ("networkMode",), "host"),
    M("a task runs on Fargate in a network interface of its own", "TaskDefinition", "load-task-definition", ("pidMode",), "host"),
    container("a container's image is named by its digest", "image", value="postgres-etl:latest"),
    container("a container runs as nobody that the host knows", "user"),
    container("a container runs as nobody that the host knows", "user", value="0"),
    container("a container's root is read-only", "readonlyRootFilesystem", value=False),
    container("a container writes to one scratch volume", "mountPoints", 1, value={"sourceVolume": "etc", "containerPath": "/etc"}),
    container("a container is not privileged and has no capability", "privileged", value=True),
    container("a container is not privileged and has no capability", "linuxParameters", "capabilities"),
    container("a container is not privileged and has no capability", "linuxParameters", "capabilities", value={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
    container("a container's first process reaps its children", "linuxParameters", "initProcessEnabled"),
    container("a container has its secrets by reference", "environment", 0, value={"name": "DB_PASSWORD", "value": "synthetic"}),
    container("a container has its secrets by reference", "secrets", 0, value={"name": "DB_CREDENTIALS", "valueFrom": "synthetic"}),
    container("a container's log never holds it up", "logConfiguration", "options", "mode"),
    container("a container logs into the group that is made for it", "logConfiguration", "options", "awslogs-group", value="/another"),
    container("a task verifies its database, and is told what is protected and which rules are trusted", "environment", "DB_SSLMODE"),
    M("a task verifies its database, and is told what is protected and which rules are trusted", "TaskDefinition", "load-task-definition", ("containerDefinitions", 0, "environment", "PROTECTED_ACCOUNTS", "value"), "1"),
    container("a container has two minutes to stop", "stopTimeout"),
    M("a task's disk is sized by a setting and ends with it", "TaskDefinition", "extract-task-definition", ("ephemeralStorage",)),
    M("a task's disk is sized by a setting and ends with it", "TaskDefinition", "extract-task-definition", ("volumes", 0, "efsVolumeConfiguration"), {"fileSystemId": "fs-1"}),
    M("a cluster measures its containers", "ecs/cluster:Cluster", "load-task-cluster", ("settings",)),
    M("a shell, where a task may have one, is encrypted and logged", "ecs/cluster:Cluster", "load-task-cluster", ("configuration",), stack="opened"),
    M("a shell, where a task may have one, is encrypted and logged", "ecs/cluster:Cluster", "load-task-cluster", ("configuration", "executeCommandConfiguration", "kmsKeyId"), stack="opened"),
    M("a shell, where a task may have one, is encrypted and logged", "LogGroup", "extract-task-shell-logs", stack="opened"),
    run("a task gets no public address", "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp", value="ENABLED"),
    run("a task may run in either of two subnets", "NetworkConfiguration", "AwsvpcConfiguration", "Subnets", 1),
    run("a machine runs the task of its stage, in its group and the private subnets", "NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups", 0, value="sg-another"),
    run("a task runs on the newest platform", "PlatformVersion", value="1.3.0"),
    run("a task carries the tags of its definition", "PropagateTags"),
    machine("a state that works has a time limit and a way to fail", "States", "VerifyDump", "TimeoutSeconds"),
    machine("a state that works has a time limit and a way to fail", "States", "DumpSourceDatabase", "Catch", 1),
    machine("a state that works has a time limit and a way to fail", "TimeoutSeconds"),
    machine("a task that ran and failed is not simply run again", "States", "DumpSourceDatabase", "Retry", 0, "ErrorEquals", 0, value="States.TaskFailed"),
    machine("a machine fails under a name of its own", "States", "ReportFailure", "Error"),
    M("a machine is a standard one", "StateMachine", "load-s3-to-rds-machine", ("type",), "EXPRESS"),
    M("a machine logs every event and no data", "StateMachine", "load-s3-to-rds-machine", ("loggingConfiguration", "level"), "ERROR"),
    M("a machine logs every event and no data", "StateMachine", "load-s3-to-rds-machine", ("loggingConfiguration", "includeExecutionData"), True),
    M("a machine is traced", "StateMachine", "load-s3-to-rds-machine", ("tracingConfiguration",)),
    M("a machine is encrypted with a customer managed key", "StateMachine", "load-s3-to-rds-machine", ("encryptionConfiguration",)),
]

ROLES: Final = [
    trust("a service assumes a role for this account's own resource alone", "extract-task-task-role", "Condition", "StringEquals"),
    trust("a service assumes a role for this account's own resource alone", "load-s3-to-rds-role", "Condition", "ArnLike"),
    trust("a service assumes a role for this account's own resource alone", "extract-nightly-role", "Condition"),
    trust("a service assumes a role for this account's own resource alone", "transform-transform-identity-role", "Condition", "ArnEquals", stack="opened"),
    trust("a role is assumed by a named role, a named service account or a service", "access-role", "Principal", "AWS", value="*"),
    trust("a role is assumed by a named role, a named service account or a service", "access-role", "Principal", "AWS", value="arn:aws:iam::473251818902:root"),
    trust("a service account assumes its own role and no other does", "transform-transform-identity-role", "Condition", "StringEquals", value={"issuer:aud": "sts.amazonaws.com"}),
    trust("a service account assumes its own role and no other does", "transform-transform-identity-role", "Condition", "StringEquals", value={"issuer:sub": "system:serviceaccount:postgres-etl:transform"}),
    trust("a service account assumes its own role and no other does", "transform-transform-identity-role", "Condition", "StringEquals", "aws:RequestTag/kubernetes-service-account", value="dispatcher", stack="opened"),
    trust("a service account assumes its own role and no other does", "transform-transform-identity-role", "Condition", "StringEquals", "aws:RequestTag/kubernetes-namespace", stack="opened"),
    role("no role is allowed everything, or anything of everything", "extract-task-task-policy", "AllowWritingDumps", "Action", value=["s3:Put*"]),
    role("no role is allowed everything, or anything of everything", "extract-task-task-policy", "AllowWritingDumps", "Resource", value=["*"]),
    role("no role deletes an object, or changes what guards one", "extract-task-task-policy", "AllowWritingDumps", "Action", 0, value="s3:DeleteObject"),
    role("a role uses a key through one service, in one context, or in one session", "load-task-task-policy", "AllowDecryptingDumps", "Condition"),
    role("a task signs in to one database as one user", "extract-task-task-policy", "AllowSigningInToDatabase", "Resource", 0, value="arn:aws:rds-db:eu-west-2:473251818902:dbuser:*/*"),
    M("a task's program and its starting have a role each", "TaskDefinition", "extract-task-definition", ("taskRoleArn",), "arn:aws:iam::473251818902:role/postgres-etl-extract-execution-prod"),
    role("a task's starting pulls, logs and reads its own sign-in, and nothing else", "extract-task-execution-policy", "AllowPullingImages", "Resource", 0, value="arn:aws:ecr:eu-west-2:473251818902:repository/*"),
    role("a task's starting pulls, logs and reads its own sign-in, and nothing else", "extract-task-execution-policy", "AllowWritingLogs", "Action", 0, value="s3:GetObject"),
    role("a machine's role runs one family on one cluster", "extract-rds-to-s3-policy", "AllowStartingTask", "Condition"),
    role("a machine's role runs one family on one cluster", "extract-rds-to-s3-policy", "AllowStartingTask", "Resource", 0, value="arn:aws:ecs:eu-west-2:473251818902:task-definition/*"),
    role("a machine's role follows the tasks of its own cluster", "extract-rds-to-s3-policy", "AllowFollowingTask", "Resource", 0, value="arn:aws:ecs:eu-west-2:473251818902:task/*"),
    role("a role is passed to ECS tasks alone, and two of them", "extract-rds-to-s3-policy", "AllowPassingTaskRoles", "Condition"),
    role("a role is passed to ECS tasks alone, and two of them", "extract-rds-to-s3-policy", "AllowPassingTaskRoles", "Resource", value=["arn:aws:iam::473251818902:role/*"]),
    role("Jenkins starts, follows and stops executions and reads manifests, and nothing else", "access-policy", "AllowStartingLoad", "Action", 0, value="states:UpdateStateMachine"),
    role("Jenkins starts, follows and stops executions and reads manifests, and nothing else", "access-policy", "AllowReadingExtractManifests", "Resource", 0, value="arn:aws:s3:::postgres-etl-extract-prod-473251818902/*"),
    role("the nightly schedule starts one machine, and nothing else", "extract-nightly-policy", "AllowStartingExtract", "Resource", 0, value="arn:aws:states:eu-west-2:473251818902:stateMachine:*"),
    role("a machine uses its key itself: for its own history, and for the logs that it delivers", "load-s3-to-rds-policy", "AllowEncryptingHistory", "Condition", value={"StringEquals": {"kms:ViaService": "states.eu-west-2.amazonaws.com"}}),
    role("a machine uses its key itself: for its own history, and for the logs that it delivers", "extract-rds-to-s3-policy", "AllowEncryptingLogs"),
    *(M("a machine uses its key itself: for its own history, and for the logs that it delivers", "key:Key", "operations-data-key", (*POLICY, sid)) for sid in ("AllowExtractMachine", "AllowMachinesToDeliverLogs", "AllowLogDelivery")),
    M("the provider refuses every other account", "pulumi:providers:aws", "aws", ("allowedAccountIds",)),
    M("the provider tags everything", "pulumi:providers:aws", "aws", ("defaultTags",)),
]

CLUSTER: Final = [
    *(M("the namespace takes restricted pods alone", "v1:Namespace", "transform-cluster-namespace", ("metadata", "labels", f"pod-security.kubernetes.io/{mode}")) for mode in ("enforce", "audit", "warn")),
    *(M("the namespace is bounded in Jobs, pods, CPU, memory and disk", "ResourceQuota", "transform-cluster-quota", ("spec", "hard", what)) for what in ("pods", "limits.memory", "services")),
    M("the namespace is closed unless a way is named", "v1:NetworkPolicy", "transform-cluster-default-deny"),
    M("the namespace is closed unless a way is named", "v1:NetworkPolicy", "transform-cluster-default-deny", ("spec", "policyTypes"), ["Ingress"]),
    M("a pod asks the cluster's own DNS alone", "v1:NetworkPolicy", "transform-cluster-allow-dns", ("spec", "egress", 0, "to", 0, "namespaceSelector")),
    M("nobody but the monitoring enters a pod", "v1:NetworkPolicy", "transform-cluster-allow-scraping-dispatcher", ("spec", "ingress", 0, "from", 0, "namespaceSelector", "matchLabels")),
    M("a way out is of TCP, and to addresses", "v1:NetworkPolicy", "transform-cluster-allow-s3", ("spec", "egress", 0, "ports", 0, "protocol")),
    M("what the pipeline has in the cluster is in its own namespace", "v1:Deployment", "transform-dispatcher-deployment", ("metadata", "namespace"), "default"),
    M("a service account names its own role, where the cluster goes by names", "v1:ServiceAccount", "transform-transform-identity-account", ("metadata", "annotations", "eks.amazonaws.com/role-arn"), "arn:aws:iam::473251818902:role/postgres-etl-dispatcher-prod"),
    M("the cluster refuses images and service accounts that are not the pipeline's", "ValidatingAdmissionPolicy", "transform-admission-postgres-etl-pods", ("spec", "matchConstraints", "resourceRules", 0, "operations", 1)),
    M("no pod reaches the world, the node's metadata or a database", "v1:NetworkPolicy", "transform-cluster-allow-s3", ("spec", "egress", 0, "to", 0, "ipBlock", "cidr"), "192.0.0.0/8"),
    M("no pod reaches the world, the node's metadata or a database", "v1:NetworkPolicy", "transform-cluster-allow-s3", ("spec", "egress", 0, "to", 0, "ipBlock", "cidr"), "169.254.169.254/32"),
    M("no pod reaches the world, the node's metadata or a database", "v1:NetworkPolicy", "transform-cluster-allow-aws-endpoints", ("spec", "egress", 0, "ports", 0, "port"), 5432),
    M("no pod reaches the world, the node's metadata or a database", "v1:NetworkPolicy", "transform-cluster-allow-aws-endpoints", ("spec", "egress", 0, "to")),
    M("the dispatcher alone reaches the cluster's API", "v1:NetworkPolicy", "transform-cluster-allow-dispatcher-to-api", ("spec", "podSelector"), {}),
    M("the dispatcher alone reaches the cluster's API", "v1:NetworkPolicy", "transform-cluster-allow-aws-endpoints", ("spec", "egress", 0, "to", 0, "ipBlock", "cidr"), "10.10.0.0/16"),
    M("the dispatcher alone reaches the cluster's API", "v1:NetworkPolicy", "transform-cluster-allow-dispatcher-to-api", ("spec", "egress", 0, "to", 0)),
    M("the dispatcher creates and sees Jobs and has no other right", "v1:Role", "transform-dispatcher-role", ("rules", 0, "verbs", 3), "delete"),
    M("the dispatcher creates and sees Jobs and has no other right", "v1:Role", "transform-dispatcher-role", ("rules", 1), {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
    M("the dispatcher creates and sees Jobs and has no other right", "v1:RoleBinding", "transform-dispatcher-role-binding", ("subjects",), SOMEBODY),
    *(M("the cluster refuses images and service accounts that are not the pipeline's", "ValidatingAdmissionPolicy", "transform-admission-postgres-etl-jobs", ("spec", "validations", rule))
      for rule in ("a Job runs as transform", "a Job runs the deployed image")),
    *(M("the cluster refuses images and service accounts that are not the pipeline's", "ValidatingAdmissionPolicy", "transform-admission-postgres-etl-pods", ("spec", "validations", rule))
      for rule in ("a pod runs as transform or dispatcher", "a pod runs an image of the pipeline by its digest", "nobody attaches a container to a pod")),
    M("what the cluster cannot judge it refuses", "ValidatingAdmissionPolicy", "transform-admission-postgres-etl-jobs", ("spec", "failurePolicy"), "Ignore"),
    M("what the cluster judges it denies, in this namespace", "ValidatingAdmissionPolicyBinding", "transform-admission-postgres-etl-pods-binding"),
    M("what the cluster judges it denies, in this namespace", "ValidatingAdmissionPolicyBinding", "transform-admission-postgres-etl-jobs-binding", ("spec", "validationActions"), ["Audit"]),
    dispatcher("the dispatcher is one and never two", "replicas", value=2),
    dispatcher("the dispatcher is one and never two", "strategy"),
    dispatcher("the dispatcher is probed for life and for readiness, by two questions", "template", "spec", "containers", 0, "livenessProbe"),
    dispatcher("the dispatcher is probed for life and for readiness, by two questions", "template", "spec", "containers", 0, "readinessProbe", "httpGet", "path", value="/healthz"),
    dispatcher("a pod's image is named by its digest", "template", "spec", "containers", 0, "image", value="postgres-etl:latest"),
    job_pod("a pod's image is named by its digest", "containers", 0, "image", value="postgres-etl:latest"),
    job_pod("a pod gets what it asks for, and no more", "containers", 0, "resources", "limits", "memory"),
    job_pod("a pod gets what it asks for, and no more", "containers", 0, "resources", "requests"),
    job_pod("a pod runs as nobody that the node knows, with the default seccomp profile", "securityContext", "runAsNonRoot"),
    job_pod("a pod runs as nobody that the node knows, with the default seccomp profile", "securityContext", "runAsUser", value=999),
    dispatcher("a pod runs as nobody that the node knows, with the default seccomp profile", "template", "spec", "securityContext", "seccompProfile"),
    job_pod("a pod runs as nobody that the node knows, with the default seccomp profile", "hostNetwork", value=True),
    job_pod("a pod's container cannot become more than it is, and has no capability", "containers", 0, "securityContext", "allowPrivilegeEscalation"),
    job_pod("a pod's container cannot become more than it is, and has no capability", "containers", 0, "securityContext", "privileged", value=True),
    dispatcher("a pod's container cannot become more than it is, and has no capability", "template", "spec", "containers", 0, "securityContext", "capabilities"),
    dispatcher("a pod's root is read-only", "template", "spec", "containers", 0, "securityContext", "readOnlyRootFilesystem", value=False),
    job_pod("the transform has no token of the cluster", "automountServiceAccountToken"),
    M("the transform has no token of the cluster", "v1:ServiceAccount", "transform-transform-identity-account", ("automountServiceAccountToken",), True),
    *(job("a transform Job ends: by a deadline, after three attempts, and is forgotten a day later", what) for what in ("activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")),
    job("a transform that fails for good is not tried again, nor two at a time", "podFailurePolicy"),
    job("a transform that fails for good is not tried again, nor two at a time", "podReplacementPolicy"),
]
# fmt: on
