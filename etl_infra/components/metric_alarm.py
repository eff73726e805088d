"""The alarm on one metric: above a threshold in any five minutes, the topic hears of it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws


def metric_alarm(
    name: str,
    *,
    physical_name: str,
    metric: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    threshold: int,
    topic_arn: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """Register an alarm.

    Args:
        name: logical name.
        physical_name: name in the account.
        metric: `<namespace>:<metric>`.
        dimensions: of which queue or machine.
        threshold: the highest value that is well, in the metric's unit.
        topic_arn: who hears of it.
        opts: parent and provider.
    """
    namespace, _, metric_name = metric.partition(":")
    return aws.cloudwatch.MetricAlarm(
        name,
        name=physical_name,
        alarm_description=f"{metric_name} is above {threshold}",
        namespace=namespace,
        metric_name=metric_name,
        dimensions=dimensions,
        statistic="Maximum",
        period=300,
        evaluation_periods=1,
        threshold=threshold,
        comparison_operator="GreaterThanThreshold",
        treat_missing_data="notBreaching",
        alarm_actions=[topic_arn],
        opts=opts,
    )
