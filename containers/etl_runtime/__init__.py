"""What runs: the four programs (pg_dump, transform, pg_restore, dispatcher) of the pipeline."""

import os

# numpy holds arrays here and computes no algebra: threads for that would cost each start time and memory.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
