"""What runs: the four programs (pg_dump, transform, pg_restore, dispatcher) of the pipeline."""
