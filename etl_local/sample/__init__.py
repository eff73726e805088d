"""A synthetic public-procurement marketplace, generated inside Postgres: what a demonstration and the tests clean."""
