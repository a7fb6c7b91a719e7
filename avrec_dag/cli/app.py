"""Every command of `avrec` with its examples, and the door where an error becomes one sentence and an exit code."""

import logging
from typing import Any

import typer
from typer.core import TyperGroup

from avrec_dag.cli import (
    asking,
    building,
    erasing,
    evaluating,
    experimenting,
    feeding,
    keeping,
    keys,
    labelling,
    output,
    replaying,
    reviewing,
    showing,
)
from avrec_dag.errors import AvrecError, SettingError


class Commands(TyperGroup):
    """Turns what the library raises on purpose into one sentence on stderr: a wrong setting exits with 2, the rest with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        # What the library logs is in the summaries; without a handler it would also land on stderr; AVREC_LOG gives it one.
        logging.getLogger("avrec").addHandler(logging.NullHandler())
        try:
            return super().invoke(ctx)
        except SettingError as error:
            output.say(f"avrec: {error}")
            raise typer.Exit(2) from None
        except AvrecError as error:
            output.say(f"avrec: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            output.say("avrec: stopped; what was finished is kept, and the same command goes on from there")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a bucket of videos with sound to classes, quality scores, search and recommendations.",
    epilog="Settings come from AVREC_MEDIA, AVREC_STORE, AVREC_FEEDBACK, AVREC_ENGINE and AVREC_ENCODERS; see the README.",
)
feedback = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="What people did: add events to the feedback log, and look at it."
)

experiment = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Arms that differ in their lists: what each showed and what came of it."
)


def _examples(*lines: str) -> str:
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  {line}" for line in lines)


BUILD, ASK, KEEP = "Build the library", "Ask it", "Look after it"

app.command("demo", rich_help_panel=BUILD, epilog=_examples("avrec demo", "avrec demo --no-real", "avrec demo --s3"))(building.demo)
app.command(
    "materialize",
    rich_help_panel=BUILD,
    epilog=_examples("avrec materialize", "avrec materialize --media ~/Videos", "avrec materialize --day 2026-03-02 --day 2026-03-03"),
)(building.materialize)
app.command(
    "backfill",
    rich_help_panel=BUILD,
    epilog=_examples("avrec backfill --dry-run", "avrec backfill --window-days 30", "avrec backfill --dry-run --json | jq .seconds"),
)(building.backfill)
app.command(
    "status", rich_help_panel=BUILD, epilog=_examples("avrec status", "avrec status --watch", "avrec status --json | jq .assets.frames")
)(asking.status)
app.command("checks", rich_help_panel=BUILD, epilog=_examples("avrec checks --failed", "avrec checks --day 2026-03-02 --json"))(
    asking.checks
)
app.command(
    "search",
    rich_help_panel=ASK,
    epilog=_examples(
        'avrec search "a cat"',
        "avrec search 一只猫 -k 5 --json",
        "avrec search --sound bark.wav",
        "avrec search running --picture dog.jpg --user ada --taste 0.5",
    ),
)(asking.search)
app.command("similar", rich_help_panel=ASK, epilog=_examples('avrec similar "dt=2026-03-02/real/park.mp4" -k 5'))(asking.similar)
app.command("recommend", rich_help_panel=ASK, epilog=_examples("avrec recommend ada -k 10", "avrec recommend ada --diversity 0.6 --json"))(
    asking.recommend
)
app.command("classify", rich_help_panel=ASK, epilog=_examples("avrec classify holiday.mp4", "avrec classify dt=2026-03-02/real/park.mp4"))(
    asking.classify
)
app.command(
    "label",
    rich_help_panel=KEEP,
    epilog=_examples(
        "avrec label",
        "avrec label --next 10 --json",
        "avrec label dt=2026-03-02/real/park.mp4 park 公园",
        "avrec label dt=2026-03-02/real/park.mp4 --remove",
        "avrec label --file labels.csv --by ada",
    ),
)(labelling.label)
app.command(
    "evaluate",
    rich_help_panel=ASK,
    epilog=_examples(
        "avrec evaluate beauty.txt --format sequences",
        "avrec evaluate ml-100k.inter --format inter --split random --model ease --json",
        "avrec evaluate steam.inter --format inter --titles games.csv --fit train+valid --picture models.png",
    ),
)(evaluating.evaluate)
app.command("report", rich_help_panel=ASK, epilog=_examples("avrec report", "avrec report --out library.html"))(showing.report)
app.command("serve", rich_help_panel=ASK, epilog=_examples("avrec serve", "avrec serve --host 0.0.0.0 --port 8080"))(showing.serve)
app.command(
    "review",
    rich_help_panel=KEEP,
    epilog=_examples(
        "avrec review", "avrec review dt=2026-03-02/real/park.mp4 allow --by ada", "avrec review a.mp4 block --by ada --because advert"
    ),
)(reviewing.review)
app.command("doctor", rich_help_panel=KEEP, epilog=_examples("avrec doctor", "avrec doctor --encoders hub", "avrec doctor --instance"))(
    keeping.doctor
)
app.command("reap", rich_help_panel=KEEP, epilog=_examples("avrec reap --dry-run", "avrec reap", "avrec reap --older-than 30"))(
    keeping.reap
)
app.command("sweep", rich_help_panel=KEEP, epilog=_examples("avrec sweep", "avrec sweep --delete"))(keeping.sweep)
app.command(
    "erase",
    rich_help_panel=KEEP,
    epilog=_examples(
        'avrec erase "dt=2026-03-02/real/park.mp4" --dry-run', 'avrec erase "dt=2026-03-02/real/park.mp4" --yes', "avrec erase --user ada"
    ),
)(erasing.erase)
feedback.command(
    "add",
    epilog=_examples(
        "avrec feedback add ada dt=2026-03-02/real/park.mp4 like",
        "avrec feedback add ada dt=2026-03-02/real/park.mp4 watch --value 0.8",
        "avrec feedback add ada dt=2026-03-02/real/park.mp4 not_interested",
    ),
)(feeding.add)
feedback.command("import", epilog=_examples("avrec feedback import events.jsonl", "avrec feedback import events.csv --json"))(
    feeding.import_file
)
feedback.command("list", epilog=_examples("avrec feedback list", "avrec feedback list ada -n 20 --json"))(feeding.list_events)
feedback.command("copy", epilog=_examples("AVREC_FEEDBACK=postgresql://avrec@db/avrec avrec feedback copy sqlite:///var/feedback.db"))(
    feeding.copy
)
experiment.command(
    "report", epilog=_examples("avrec experiment report", "avrec experiment report --since 2026-03-02 --picture arms.png --json")
)(experimenting.report)
experiment.command(
    "replay",
    epilog=_examples("avrec experiment replay --arm swap", "avrec experiment replay --knob diversity=0.6 --knob method=swap --json"),
)(replaying.replay)
app.add_typer(experiment, name="experiment", rich_help_panel=ASK)
app.add_typer(feedback, name="feedback", rich_help_panel=KEEP)
keyed = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="The keys of the service: make, list and revoke them.")
keyed.command(
    "add",
    epilog=_examples(
        "avrec keys add page --scope read --scope feedback",
        "avrec keys add ada-phone --scope read --scope feedback --user ada",
        "avrec keys add backend --scope admin --per-second 500 --json",
    ),
)(keys.add)
keyed.command("list", epilog=_examples("avrec keys list", "avrec keys list --json"))(keys.show)
keyed.command("revoke", epilog=_examples("avrec keys revoke page"))(keys.revoke)
app.add_typer(keyed, name="keys", rich_help_panel=KEEP)
