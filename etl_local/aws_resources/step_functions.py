"""State machines in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:sfn/stateMachine:StateMachine")
def state_machine(account: Account, inputs: Inputs) -> Made:
    """A state machine that moto executes; its identifier is its ARN."""
    logging, tags = inputs.pop("loggingConfiguration"), account.tag_list(inputs, "key", "value")
    encryption = inputs.pop("encryptionConfiguration")
    arn: str = account.client("stepfunctions").create_state_machine(
        name=inputs.pop("name"),
        definition=inputs.pop("definition"),
        roleArn=inputs.pop("roleArn"),
        type=inputs.pop("type"),
        loggingConfiguration={
            "level": logging["level"],
            "includeExecutionData": logging["includeExecutionData"],
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": logging["logDestination"]}}],
        },
        tracingConfiguration=inputs.pop("tracingConfiguration"),
        encryptionConfiguration={
            "type": encryption["type"],
            "kmsKeyId": encryption["kmsKeyId"],
            "kmsDataKeyReusePeriodSeconds": int(encryption["kmsDataKeyReusePeriodSeconds"]),
        },
        tags=tags,
    )["stateMachineArn"]
    return arn, {"arn": arn, "status": "ACTIVE"}
