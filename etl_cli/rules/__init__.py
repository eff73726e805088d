"""What the sub-commands of `postgres-etl rules` do: rules held against a schema, begun from one, shown and compared."""
