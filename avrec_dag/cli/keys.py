"""Commands for the keys of the service."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from avrec_dag.cli import output
from avrec_dag.cli.output import Json

if TYPE_CHECKING:
    from avrec_dag.serving.access import Keyring


def _keyring() -> "Keyring":
    from avrec_dag.cli.library import opened

    return opened().access.keyring


def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    scope: Annotated[list[str], typer.Option(help="read, feedback, label or admin; may be given several times.")],
    user: Annotated[str | None, typer.Option(help="The one person it speaks for; without, it speaks for anybody.")] = None,
    per_second: Annotated[float | None, typer.Option(help="Requests it may send to one process; without, AVREC_RATE.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key of the service, and print it: it is shown this once, and kept as a hash alone."""
    token = _keyring().add(name, scope, user_id=user, per_second=per_second)
    if as_json:
        output.show_json({"name": name, "key": token})
        return
    typer.echo(token)
    output.say("keep it now: it is not shown again; send it as `Authorization: Bearer KEY`")


def show(as_json: Json = False) -> None:
    """Every key there is and was: its name, what it may do, and whom it speaks for; never the key itself."""
    keys = _keyring().every()
    if as_json:
        output.show_json([asdict(one) for one in keys])
        return
    rows = [
        [one.key_id, one.name, ", ".join(one.scopes), one.user_id or "anybody", one.per_second or "", one.made_at, one.revoked_at or ""]
        for one in keys
    ]
    output.show_table(["id", "name", "scopes", "speaks for", "a second", "made", "revoked"], rows)


def revoke(name: Annotated[str, typer.Argument(help="Its name or id.")], as_json: Json = False) -> None:
    """Have a key open nothing any more; running services know within a second."""
    gone = _keyring().revoke(name)
    if as_json:
        output.show_json(asdict(gone))
    else:
        output.stdout().print(f"{gone.name} ({gone.key_id}) opens nothing any more", markup=False)
