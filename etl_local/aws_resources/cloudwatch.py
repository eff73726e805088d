"""Log groups and alarms in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes, pascal


@makes("aws:cloudwatch/logGroup:LogGroup")
def log_group(account: Account, inputs: Inputs) -> Made:
    """A log group; its identifier is its name."""
    logs, name, tags = account.client("logs"), inputs.pop("name"), account.tags(inputs)
    logs.create_log_group(logGroupName=name, kmsKeyId=inputs.pop("kmsKeyId"), tags=tags)
    logs.put_retention_policy(logGroupName=name, retentionInDays=int(inputs.pop("retentionInDays")))
    return name, {"arn": account.arn("logs", f"log-group:{name}")}


@makes("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(account: Account, inputs: Inputs) -> Made:
    """An alarm; recorded, since nothing measures in moto."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    dimensions = [{"Name": key, "Value": value} for key, value in inputs.pop("dimensions", {}).items()]
    alarm = {key: inputs.pop(key) for key in list(inputs)}
    for whole in ("period", "evaluationPeriods"):
        alarm[whole] = int(alarm[whole])
    account.client("cloudwatch").put_metric_alarm(AlarmName=name, Dimensions=dimensions, Tags=tags, **pascal(alarm))
    return name, {"arn": account.arn("cloudwatch", f"alarm:{name}")}
