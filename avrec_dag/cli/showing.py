"""Commands that show a library to people."""

from pathlib import Path
from typing import Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json


def report(
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("var/report.html"),
    as_json: Json = False,
) -> None:
    """Write one HTML file: what is in the library, its classes and quality, five people's lists and why, and the evaluations."""
    from avrec_dag import report as pages
    from avrec_dag.cli.library import opened

    library = opened()
    size = pages.write(library.ledger, library.blobs, out)
    if as_json:
        output.show_json({"path": str(out.resolve()), "size_bytes": size})
    else:
        output.stdout().print(f"{out} ({size / 1e6:.1f} MB)")


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; but on this machine alone, keys are wanted (`avrec keys add`).")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="So many processes share the port; one that dies is started again.")] = 1,
) -> None:
    """Serve recommendations, similar items, search and feedback over HTTP, with a page to try them on."""
    from avrec_dag.cli.library import opened
    from avrec_dag.cli.serving import run

    library = opened()  # a setting that cannot work is told here, not by every worker
    library.access.refuse_open_to_others(host)
    who = "open: everybody on this machine may do everything, until the first `avrec keys add`" if library.access.open else "keys wanted"
    output.say(f"http://{host}:{port}  ({who}; Ctrl-C ends it)")
    run(host, port, workers, library.settings.service.headers_s)
