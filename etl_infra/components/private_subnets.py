"""The private subnets of a stack, looked up: a setting names them, and only AWS knows where they are."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from etl_infra.stack_settings import NetworkSettings


class SubnetError(Exception):
    """The subnets of the settings are not what a stack needs."""


def private_subnets(network: NetworkSettings, parent: pulumi.Resource) -> pulumi.Output[list[str]]:
    """The ids of the subnets, once they are known to be of the VPC, and in two zones at least.

    Raises:
        SubnetError: when the ids resolve, at a preview as well.
    """
    found = [
        aws.ec2.get_subnet_output(id=subnet, opts=pulumi.InvokeOutputOptions(parent=parent))
        for subnet in network.private_subnet_ids
    ]
    places = pulumi.Output.all(*(pulumi.Output.all(subnet.vpc_id, subnet.availability_zone) for subnet in found))
    return places.apply(lambda known: _checked(network, known))


def _checked(network: NetworkSettings, places: Sequence[Sequence[str]]) -> list[str]:
    ids = list(network.private_subnet_ids)
    elsewhere = [subnet for subnet, (vpc, _) in zip(ids, places, strict=True) if vpc != network.vpc_id]
    if elsewhere:
        raise SubnetError(f"privateSubnetIds: {', '.join(elsewhere)} are not of {network.vpc_id}")
    zones = {zone for _, zone in places}
    if len(zones) < 2:
        raise SubnetError(f"privateSubnetIds: all of them are in {', '.join(zones)}, and a task needs a second zone")
    return ids
