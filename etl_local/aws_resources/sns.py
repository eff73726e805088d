"""SNS topics in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:sns/topic:Topic")
def topic(account: Account, inputs: Inputs) -> Made:
    """A topic; its identifier is its ARN."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    attributes = {"KmsMasterKeyId": inputs.pop("kmsMasterKeyId")} if "kmsMasterKeyId" in inputs else {}
    arn: str = account.client("sns").create_topic(Name=name, Attributes=attributes, Tags=tags)["TopicArn"]
    return arn, {"arn": arn}


@makes("aws:sns/topicPolicy:TopicPolicy")
def topic_policy(account: Account, inputs: Inputs) -> Made:
    """Who may publish."""
    arn: str = inputs.pop("arn")
    account.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=inputs.pop("policy")
    )
    return arn, {}


@makes("aws:sns/topicSubscription:TopicSubscription")
def topic_subscription(account: Account, inputs: Inputs) -> Made:
    """Who hears; moto sends no mail."""
    arn: str = account.client("sns").subscribe(
        TopicArn=inputs.pop("topic"), Protocol=inputs.pop("protocol"), Endpoint=inputs.pop("endpoint")
    )["SubscriptionArn"]
    return arn, {"arn": arn}
