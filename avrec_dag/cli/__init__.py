"""The `avrec` command."""


def main() -> None:
    """Run the command line; the process ends with 0, 1 (failed), 2 (wrong setting or usage) or 130 (Ctrl-C)."""
    from avrec_dag.cli.app import app

    app(prog_name="avrec")
