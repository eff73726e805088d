"""The account that moto plays, and the region that the tests are in."""

REGION = "eu-west-2"
ACCOUNT = "123456789012"
