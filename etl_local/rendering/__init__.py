"""What a change does to the three stacks, shown without an account: their resources as YAML, and the difference."""
