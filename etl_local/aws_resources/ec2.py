"""Security groups in moto."""

from __future__ import annotations

from typing import Any

from etl_local.aws_resources.registry import Account, Inputs, Made, UnknownResourceError, answers, makes


@makes("aws:ec2/securityGroup:SecurityGroup")
def security_group(account: Account, inputs: Inputs) -> Made:
    """A security group; the rule by which AWS lets everything out is removed, as the provider does."""
    ec2, tags = account.client("ec2"), account.tag_list(inputs)
    identifier: str = ec2.create_security_group(
        GroupName=inputs.pop("name"),
        Description=inputs.pop("description"),
        VpcId=inputs.pop("vpcId"),
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}] if tags else [],
    )["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=identifier, IpPermissions=everything)
    return identifier, {"arn": account.arn("ec2", f"security-group/{identifier}")}


@makes("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
def egress_rule(account: Account, inputs: Inputs) -> Made:
    """One way out."""
    group, permission = _rule(account, inputs)
    made = account.client("ec2").authorize_security_group_egress(GroupId=group, IpPermissions=[permission])
    return _made(account, made)


@makes("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
def ingress_rule(account: Account, inputs: Inputs) -> Made:
    """One way in."""
    group, permission = _rule(account, inputs)
    made = account.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    return _made(account, made)


@answers("aws:ec2/getSubnet:getSubnet")
def subnet(account: Account, arguments: Inputs) -> dict[str, Any]:
    """A subnet by its identifier."""
    identifier = arguments.pop("id")
    (found,) = account.client("ec2").describe_subnets(SubnetIds=[identifier])["Subnets"]
    return {"id": identifier, "vpcId": found["VpcId"], "availabilityZone": found["AvailabilityZone"]}


@answers("aws:ec2/getManagedPrefixList:getManagedPrefixList")
def managed_prefix_list(account: Account, arguments: Inputs) -> dict[str, Any]:
    """A prefix list of AWS's own by its name.

    Raises:
        UnknownResourceError: there is none.
    """
    ec2, name = account.client("ec2"), arguments.pop("name")
    found = ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])["PrefixLists"]
    if not found:
        raise UnknownResourceError(f"there is no prefix list {name}")
    identifier = found[0]["PrefixListId"]
    entries = ec2.get_managed_prefix_list_entries(PrefixListId=identifier)["Entries"]
    return {
        "id": identifier,
        "name": name,
        "arn": found[0]["PrefixListArn"],
        "entries": [{"cidr": entry["Cidr"], "description": entry.get("Description", "")} for entry in entries],
    }


def _rule(account: Account, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    account.tags(inputs)
    description = {"Description": inputs.pop("description", "")}
    permission: dict[str, Any] = {"IpProtocol": inputs.pop("ipProtocol")}
    for port in ("fromPort", "toPort"):
        if port in inputs:
            permission[port[0].upper() + port[1:]] = int(inputs.pop(port))
    for key, entry, member in (
        ("cidrIpv4", "IpRanges", "CidrIp"),
        ("prefixListId", "PrefixListIds", "PrefixListId"),
        ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
    ):
        if key in inputs:
            permission[entry] = [{member: inputs.pop(key), **description}]
    return inputs.pop("securityGroupId"), permission


def _made(account: Account, made: dict[str, Any]) -> Made:
    identifier: str = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return identifier, {
        "arn": account.arn("ec2", f"security-group-rule/{identifier}"),
        "securityGroupRuleId": identifier,
    }
