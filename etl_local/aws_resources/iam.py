"""IAM roles in moto, which records policies and enforces none."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:iam/role:Role")
def role(account: Account, inputs: Inputs) -> Made:
    """A role; its identifier is its name."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    made = account.client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument=inputs.pop("assumeRolePolicy"),
        Description=inputs.pop("description", ""),
        MaxSessionDuration=int(inputs.pop("maxSessionDuration", 3600)),
        Tags=tags,
    )["Role"]
    return name, {"arn": made["Arn"], "uniqueId": made["RoleId"]}


@makes("aws:iam/rolePolicy:RolePolicy")
def role_policy(account: Account, inputs: Inputs) -> Made:
    """What a role may do."""
    role_name, name = inputs.pop("role"), inputs.pop("name")
    account.client("iam").put_role_policy(RoleName=role_name, PolicyName=name, PolicyDocument=inputs.pop("policy"))
    return f"{role_name}:{name}", {}
