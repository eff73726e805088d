"""What Pulumi's language host runs: connects the SDK to engine and monitor, then executes the program's directory.

Called as the host calls its own: `--monitor … --engine … --project … --stack … --dry_run … PROGRAM`, the configuration
in `PULUMI_CONFIG` and `PULUMI_CONFIG_SECRET_KEYS`. The host's is part of Pulumi's command line and not of its SDK.
"""

import argparse
import asyncio
import runpy
import sys

import pulumi
from pulumi.runtime import config
from pulumi.runtime.stack import run_in_stack


def main() -> int:
    parser = argparse.ArgumentParser()
    for option in ("monitor", "engine", "project", "stack", "dry_run"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("program")
    given = parser.parse_args()
    pulumi.runtime.set_all_config(config.get_config_env(), config.get_config_secret_keys_env())
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=given.monitor,
            engine=given.engine,
            project=given.project,
            stack=given.stack,
            dry_run=given.dry_run == "true",
        )
    )

    async def run() -> None:
        await run_in_stack(lambda: runpy.run_path(given.program, run_name="__main__") and None)

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
