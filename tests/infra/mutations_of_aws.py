"""Mutations of what stands in the account: one setting each, and the one sentence that it breaks."""
# ruff: noqa: E501 - a mutation stands on one line

from typing import Final

from tests.infra.mutation import Mutation as M  # noqa: N817 - some hundred times below

POLICY = ("policy", "Statement")
ENCRYPTION = "BucketServerSideEncryptionConfiguration"
EXTRACT, LOAD = "extract-bucket", "load-bucket"
ALL = "kms:*"

# fmt: off
STORAGE: Final = [
    *(M("a bucket refuses public access by each of the four doors", "BucketPublicAccessBlock", "load-bucket-public-access-block", (door,), False)
      for door in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")),
    M("a bucket refuses public access by each of the four doors", "BucketPublicAccessBlock", "extract-bucket-public-access-block"),
    M("a bucket's owner owns every object in it", "BucketOwnershipControls", "load-bucket-ownership", ("rule", "objectOwnership"), "ObjectWriter"),
    M("a bucket's owner owns every object in it", "BucketOwnershipControls", "extract-bucket-ownership"),
    M("a bucket keeps versions", "BucketVersioning", "load-bucket-versioning", ("versioningConfiguration", "status"), "Suspended"),
    M("a bucket keeps versions", "BucketVersioning", "extract-bucket-versioning"),
    M("a bucket is encrypted with a key of its own, named by its ARN", ENCRYPTION, "load-bucket-encryption", ("rules", 0, "applyServerSideEncryptionByDefault", "sseAlgorithm"), "AES256"),
    M("a bucket is encrypted with a key of its own, named by its ARN", ENCRYPTION, "load-bucket-encryption", ("rules", 0, "applyServerSideEncryptionByDefault", "kmsMasterKeyId")),
    M("a bucket asks KMS once for many objects", ENCRYPTION, "load-bucket-encryption", ("rules", 0, "bucketKeyEnabled")),
    M("a bucket takes no key of a caller's", ENCRYPTION, "load-bucket-encryption", ("rules", 0, "blockedEncryptionTypes")),
    M("a bucket takes no key of a caller's", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyCallersOwnKey")),
    M("a bucket denies plaintext transport", "BucketPolicy", "extract-bucket-policy", (*POLICY, "DenyPlaintextTransport")),
    M("a bucket denies plaintext transport", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyPlaintextTransport", "Condition", "Bool", "aws:SecureTransport"), "true"),
    M("a bucket denies encryption with another key, or without KMS", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyOtherEncryption")),
    M("a bucket denies encryption with another key, or without KMS", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyOtherKey")),
    M("a manifest is written once, parts of an upload apart", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyReplacingManifest")),
    M("a manifest is written once, parts of an upload apart", "BucketPolicy", "extract-bucket-policy", (*POLICY, "DenyReplacingManifest", "Condition", "Bool")),
    M("a bucket that has an organisation denies everybody outside of it", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyOutsideOrganisation")),
    M("a bucket that has a network denies reading and writing from outside of it", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyOutsideOwnNetwork")),
    M("a bucket that has a network denies reading and writing from outside of it", "BucketPolicy", "extract-bucket-policy", (*POLICY, "DenyOutsideOwnNetwork", "Action"), ["s3:PutObject"]),
    M("a bucket admits nobody but roles that it names", "BucketPolicy", "load-bucket-policy", (*POLICY, "AllowWritingObjects", "Condition")),
    M("a raw dump is gone after 14 days at most, a cleaned one after a year", "BucketLifecycleConfiguration", "extract-bucket-lifecycle", ("rules", "expire-dumps", "expiration", "days"), 15),
    M("a raw dump is gone after 14 days at most, a cleaned one after a year", "BucketLifecycleConfiguration", "load-bucket-lifecycle", ("rules", "expire-dumps", "expiration")),
    M("an old version is gone a day after it was replaced", "BucketLifecycleConfiguration", "extract-bucket-lifecycle", ("rules", "expire-dumps", "noncurrentVersionExpiration")),
    M("an unfinished upload is gone after a day", "BucketLifecycleConfiguration", "extract-bucket-lifecycle", ("rules", "expire-dumps", "abortIncompleteMultipartUpload")),
    M("a protected bucket is not deleted with what is in it", "s3/bucket:Bucket", "load-bucket-bucket", ("forceDestroy",), True),
    *(M("what guards data is retained with it, and nothing else is protected", kind, name, ("@retain",), False)
      for kind, name in (("BucketPolicy", "extract-bucket-policy"), ("SecretVersion", "transform-salt-value"))),
    M("what guards data is retained with it, and nothing else is protected", "MetricAlarm", "extract-queue-dead-letters-alarm", ("@protect",), True),
    M("of a dump one role reads more than its manifest", "BucketPolicy", "extract-bucket-policy", (*POLICY, "DenyReadingDumpsByOthers")),
    M("of a dump one role reads more than its manifest", "BucketPolicy", "load-bucket-policy", (*POLICY, "DenyReadingDumpsByOthers", "Condition", "ArnNotEquals", "aws:PrincipalArn", 0), "*"),
    M("access to a bucket is logged", "BucketLogging", "load-bucket-access-log"),
    M("a key rotates", "key:Key", "transform-salt-data-key", ("enableKeyRotation",)),
    M("a key is lost only after thirty days", "key:Key", "load-bucket-data-key", ("deletionWindowInDays",), 7),
    M("an account administers a key and reads nothing with it", "key:Key", "extract-bucket-data-key", (*POLICY, "AllowAccountToAdministerWithoutReading", "Action"), [ALL]),
    M("an account administers a key and reads nothing with it", "key:Key", "load-target-data-key", (*POLICY, "AllowDeployersThroughRds", "Condition")),
    M("a key is used through one service, in one context or for one resource", "key:Key", "extract-bucket-data-key", (*POLICY, "AllowReadersThroughS3", "Condition", "StringEquals")),
    M("whoever may lose a key is told of to the topic", "EventRule", "extract-bucket-data-events"),
    M("whoever may lose a key is told of to the topic", "EventTarget", "transform-salt-data-notice"),
    M("whoever may lose a key is told of to the topic", "EventRule", "operations-data-events", ("eventPattern", "detail", "eventName"), ["DisableKey"]),
    M("a key is used by roles that its policy names", "key:Key", "transform-salt-data-key", (*POLICY, "AllowTransformThroughSecretsManager", "Condition", "ArnEquals")),
    M("a key is used by roles that its policy names", "key:Key", "load-target-data-key", (*POLICY, "AllowGrantsForRds", "Condition", "ArnEquals")),
    M("no condition that EventBridge cannot meet stands between a key event and the topic", "TopicPolicy", "operations-topic-policy", (*POLICY, "AllowKeyEvents", "Condition"), {"StringEquals": {"aws:SourceAccount": "473251818902"}}),
    M("no condition that EventBridge cannot meet stands between a key event and the topic", "key:Key", "operations-data-key", (*POLICY, "AllowKeyEvents", "Condition", "StringEquals", "aws:SourceAccount"), "473251818902"),
    M("a key event that could not be told of raises an alarm", "MetricAlarm", "extract-bucket-data-unheard-alarm"),
    M("a secret is encrypted with a key of its own", "secretsmanager/secret:Secret", "transform-salt", ("kmsKeyId",)),
    M("a secret is read by the roles that it names, and closed to the public", "SecretPolicy", "transform-salt-policy"),
    M("a secret is read by the roles that it names, and closed to the public", "SecretPolicy", "transform-salt-policy", ("blockPublicPolicy",), False),
    M("a secret's value is one to the engine, too", "SecretVersion", "transform-salt-value", ("@secrets",), frozenset()),
    *(M("what holds data is protected and retained in a protected environment", kind, name, ("@protect",), False)
      for kind, name in (("s3/bucket:Bucket", "load-bucket-bucket"), ("key:Key", "operations-data-key"), ("sqs/queue:Queue", "extract-queue-queue"), ("rds/instance:Instance", "load-target-instance"))),
    M("what holds data is protected and retained in a protected environment", "s3/bucket:Bucket", "extract-bucket-bucket", ("@retain",), False),
]

MESSAGES: Final = [
    M("a queue is encrypted with a customer managed key", "sqs/queue:Queue", "extract-queue-dead-letters", ("kmsMasterKeyId",), "alias/aws/sqs"),
    M("S3 may use the queue's key for this account's bucket alone", "key:Key", "operations-data-key", (*POLICY, "AllowBucketEvents")),
    M("S3 may use the queue's key for this account's bucket alone", "key:Key", "operations-data-key", (*POLICY, "AllowBucketEvents", "Condition", "StringEquals")),
    M("the queue takes the events of one bucket of this account and nothing else", "QueuePolicy", "extract-queue-policy", (*POLICY, "AllowEventsOfOneBucket", "Action"), ["sqs:*"]),
    M("the queue takes the events of one bucket of this account and nothing else", "QueuePolicy", "extract-queue-policy", (*POLICY, "AllowEventsOfOneBucket", "Condition", "StringEquals")),
    M("the queue takes the events of one bucket of this account and nothing else", "QueuePolicy", "extract-queue-policy", (*POLICY, "AllowEventsOfOneBucket", "Principal"), "*"),
    M("a queue denies plaintext transport", "QueuePolicy", "extract-queue-policy", (*POLICY, "DenyPlaintextTransport")),
    M("a queue denies plaintext transport", "QueuePolicy", "extract-queue-dead-letters-policy"),
    M("a message that cannot be dealt with goes to the dead letters after 5 to 10 receives", "sqs/queue:Queue", "extract-queue-queue", ("redrivePolicy",)),
    M("a message that cannot be dealt with goes to the dead letters after 5 to 10 receives", "sqs/queue:Queue", "extract-queue-queue", ("redrivePolicy", "maxReceiveCount"), 1000),
    M("the dead letters are those of one queue", "RedriveAllowPolicy", "extract-queue-redrive-allow"),
    M("the dead letters are those of one queue", "RedriveAllowPolicy", "extract-queue-redrive-allow", ("redriveAllowPolicy", "redrivePermission"), "allowAll"),
    M("dead letters are kept for a fortnight, longer than any message", "sqs/queue:Queue", "extract-queue-dead-letters", ("messageRetentionSeconds",), 345600),
    M("dead letters are kept for a fortnight, longer than any message", "sqs/queue:Queue", "extract-queue-queue", ("messageRetentionSeconds",), 1209600),
    *(M("dead letters, old messages and failed runs raise an alarm", "MetricAlarm", alarm)
      for alarm in ("extract-queue-dead-letters-alarm", "extract-queue-oldest-message-alarm", "extract-nightly-alarm")),
    M("dead letters, old messages and failed runs raise an alarm", "MetricAlarm", "extract-queue-dead-letters-alarm", ("alarmActions",), []),
    M("the queue hears of finished dumps of its bucket alone", "BucketNotification", "extract-queue-notification", ("queues", 0, "filterSuffix")),
    M("an alarm reaches the people that the settings name", "TopicSubscription", "operations-topic-data-platform-dev@example.com"),
    M("the topic is encrypted with a customer managed key", "sns/topic:Topic", "operations-topic", ("kmsMasterKeyId",)),
    M("the topic takes this account's alarms, key events and nothing else, over TLS", "TopicPolicy", "operations-topic-policy", (*POLICY, "DenyPlaintextTransport")),
    M("the topic takes this account's alarms, key events and nothing else, over TLS", "TopicPolicy", "operations-topic-policy", (*POLICY, "AllowAlarmsOfThisAccount", "Condition")),
    M("a log group is encrypted with a customer managed key", "LogGroup", "extract-task-logs", ("kmsKeyId",)),
    M("logs are kept for a year unless a setting says otherwise, and not for ever", "LogGroup", "load-s3-to-rds-logs", ("retentionInDays",)),
]

NETWORK: Final = [
    M("nobody enters a task; a database is entered from a task's group alone", "SecurityGroupIngressRule", "extract-task-into-database", ("referencedSecurityGroupId",)),
    M("nobody enters a task; a database is entered from a task's group alone", "SecurityGroupIngressRule", "extract-task-into-database", ("securityGroupId",), "load-task-security-group-id"),
    M("nobody enters a task; a database is entered from a task's group alone", "ec2/securityGroup:SecurityGroup", "extract-task-security-group", ("ingress",), [{"cidrBlocks": ["0.0.0.0/0"]}]),
    M("a task goes out to its database, to named ranges of endpoints and to S3, nowhere else", "SecurityGroupEgressRule", "extract-task-to-s3", ("toPort",), 65535),
    M("a task goes out to its database, to named ranges of endpoints and to S3, nowhere else", "SecurityGroupEgressRule", "load-task-to-endpoints-10.10.48.0/24", ("cidrIpv4",), "0.0.0.0/0"),
    M("a task goes out to its database, to named ranges of endpoints and to S3, nowhere else", "SecurityGroupEgressRule", "load-task-to-database", ("ipProtocol",), "-1"),
    M("a security group and each of its rules says what it is for, in letters that EC2 takes", "SecurityGroupEgressRule", "extract-task-to-s3", ("description",)),
    M("a security group and each of its rules says what it is for, in letters that EC2 takes", "ec2/securityGroup:SecurityGroup", "load-target-security-group", ("description",)),
    M("a security group and each of its rules says what it is for, in letters that EC2 takes", "ec2/securityGroup:SecurityGroup", "load-target-security-group", ("description",), "entered by the pipeline's tasks"),
    M("a created database takes TLS alone", "ParameterGroup", "load-target-parameters", ("parameters", "rds.force_ssl", "value"), "0"),
    M("a created database is not public", "rds/instance:Instance", "extract-source-instance", ("publiclyAccessible",), True),
    M("a created database is not public", "rds/instance:Instance", "load-target-instance", ("vpcSecurityGroupIds",)),
    M("a created database takes TLS alone", "rds/instance:Instance", "load-target-instance", ("parameterGroupName",)),
    M("a created database stands in two zones, and listens where its task calls", "rds/instance:Instance", "load-target-instance", ("multiAz",)),
    M("a created database takes IAM sign-in, and its master password is RDS's secret", "rds/instance:Instance", "extract-source-instance", ("iamDatabaseAuthenticationEnabled",)),
    M("a created database is not public", "rds/instance:Instance", "load-target-instance", ("vpcSecurityGroupIds",)),
    M("a created database takes TLS alone", "rds/instance:Instance", "load-target-instance", ("parameterGroupName",)),
    M("a created database stands in two zones, and listens where its task calls", "rds/instance:Instance", "load-target-instance", ("multiAz",)),
    M("a created database takes IAM sign-in, and its master password is RDS's secret", "rds/instance:Instance", "extract-source-instance", ("manageMasterUserPassword",)),
    *(M("a created database is encrypted with a key of its own", "rds/instance:Instance", "load-target-instance", (setting,))
      for setting in ("storageEncrypted", "kmsKeyId", "masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId")),
    M("a created database exports its logs, to groups that are there", "rds/instance:Instance", "load-target-instance", ("enabledCloudwatchLogsExports",)),
    M("a created database exports its logs, to groups that are there", "LogGroup", "load-target-postgresql-logs"),
    *(M("a created database logs the text of no query", "ParameterGroup", "load-target-parameters", ("parameters", name))
      for name in ("log_statement", "log_min_duration_statement", "log_min_error_statement")),
    M("a created database is backed up, and kept up to date", "rds/instance:Instance", "load-target-instance", ("backupRetentionPeriod",), 0),
    M("a created database is backed up, and kept up to date", "rds/instance:Instance", "load-target-instance", ("autoMinorVersionUpgrade",)),
    M("a created database is not deleted in a protected environment, nor without a last snapshot", "rds/instance:Instance", "load-target-instance", ("deletionProtection",), False),
    M("a created database is not deleted in a protected environment, nor without a last snapshot", "rds/instance:Instance", "extract-source-instance", ("skipFinalSnapshot",), True),
]
# fmt: on
