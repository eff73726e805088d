"""EventBridge rules and schedules in moto, which fires neither."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes, pascal


@makes("aws:cloudwatch/eventRule:EventRule")
def event_rule(account: Account, inputs: Inputs) -> Made:
    """A rule; its identifier is its name."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    arn: str = account.client("events").put_rule(
        Name=name, EventPattern=inputs.pop("eventPattern"), Description=inputs.pop("description", ""), Tags=tags
    )["RuleArn"]
    return name, {"arn": arn}


@makes("aws:cloudwatch/eventTarget:EventTarget")
def event_target(account: Account, inputs: Inputs) -> Made:
    """Who hears of a rule's events."""
    rule, identifier, transformer = inputs.pop("rule"), inputs.pop("targetId"), inputs.pop("inputTransformer")
    target = {
        "Id": identifier,
        "Arn": inputs.pop("arn"),
        "InputTransformer": {
            "InputPathsMap": transformer["inputPaths"],
            "InputTemplate": transformer["inputTemplate"],
        },
    }
    account.client("events").put_targets(Rule=rule, Targets=[target])
    return f"{rule}-{identifier}", {}


@makes("aws:scheduler/scheduleGroup:ScheduleGroup")
def schedule_group(account: Account, inputs: Inputs) -> Made:
    """A group of schedules; its identifier is its name."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    arn: str = account.client("scheduler").create_schedule_group(Name=name, Tags=tags)["ScheduleGroupArn"]
    return name, {"arn": arn}


@makes("aws:scheduler/schedule:Schedule")
def schedule(account: Account, inputs: Inputs) -> Made:
    """A schedule; recorded, since nothing starts by itself in a stand-in."""
    name, group, target = inputs.pop("name"), inputs.pop("groupName"), pascal(inputs.pop("target"))
    retry = target["RetryPolicy"]
    arn: str = account.client("scheduler").create_schedule(
        Name=name,
        GroupName=group,
        Description=inputs.pop("description", ""),
        ScheduleExpression=inputs.pop("scheduleExpression"),
        ScheduleExpressionTimezone=inputs.pop("scheduleExpressionTimezone"),
        FlexibleTimeWindow=pascal(inputs.pop("flexibleTimeWindow")),
        Target={**target, "RetryPolicy": {key: int(value) for key, value in retry.items()}},
    )["ScheduleArn"]
    return f"{group}/{name}", {"arn": arn}
