"""How people and Jenkins drive the pipeline: the `postgres-etl` command."""
