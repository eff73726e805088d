"""The command as `python -m etl_cli`."""

from etl_cli.main import app

if __name__ == "__main__":
    app(prog_name="postgres-etl")
