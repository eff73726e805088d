"""The dispatcher with shorter patience: a killed one's messages come back in seconds instead of minutes."""

from __future__ import annotations

import sys
from datetime import timedelta

from etl_runtime import dead_letters, dispatcher, dump_queue, reconciliation
from etl_runtime.contract import DISPATCHER_CONTAINER
from etl_runtime.program import run

for module in (dump_queue, dispatcher):
    module.VISIBILITY_SECONDS = 6
dump_queue._FIRST_BACKOFF_SECONDS = 1
dead_letters.WAIT_SECONDS = 0
dispatcher.WAIT_SECONDS = 1
dispatcher._HOLD_SECONDS = 1
dispatcher.RECONCILE_SECONDS = 3
reconciliation._YOUNG = timedelta(seconds=5)

if __name__ == "__main__":
    sys.exit(run(DISPATCHER_CONTAINER, dispatcher.dispatch))
