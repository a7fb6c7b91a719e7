"""From a library to one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING

from avrec_dag.demo.library import origin
from avrec_dag.report import people
from avrec_dag.report.facts import Card, Facts, gather
from avrec_dag.report.pictures import Pictures

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger
    from avrec_dag.storage import Blobs

MOST_SHOWN = 240
"""A gallery of more items would be a file that phones cannot open; the newest are shown then."""


def write(ledger: "Ledger", blobs: "Blobs", out: Path) -> int:
    """Write the report.

    Args:
        ledger: The library's tables.
        blobs: Its pictures.
        out: The file to write; its folder is made if it is missing.

    Returns:
        Size of the file in bytes.
    """
    html = render(gather(ledger), Pictures(blobs), people.gather(ledger))
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.write_text(html, encoding="utf-8")


def render(facts: Facts, pictures: Pictures, parts: people.Parts | None = None) -> str:
    """The report's HTML; whatever uploads and people wrote is escaped."""
    import jinja2

    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clock"] = clock
    judged = sorted((card for card in facts.cards if card.quality is not None), key=lambda card: (-(card.quality or 0), card.media_id))
    origins = [origin(card.media_id) for card in facts.cards]
    return environment.get_template("page.html.j2").render(
        facts=facts,
        cards=facts.cards[-MOST_SHOWN:],
        pictures=pictures,
        parts=parts or people.Parts(),
        origin=origin,
        n_real=origins.count("real"),
        n_made=origins.count("made"),
        best=judged[:4],
        worst=judged[::-1][:4] if len(judged) >= 8 else [],
        histogram=histogram(judged),
        style=(here / "style.css").read_text(encoding="utf-8"),
        script=(here / "script.js").read_text(encoding="utf-8"),
    )


def histogram(judged: list[Card], bins: int = 20) -> list[int]:
    """How many items have a quality in each of `bins` equal parts of [0, 1]."""
    counts = [0] * bins
    for card in judged:
        counts[min(int((card.quality or 0) * bins), bins - 1)] += 1
    return counts


def clock(seconds: float | None) -> str:
    """Seconds as h:mm:ss, m:ss, or 0:00."""
    whole = round(seconds or 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
