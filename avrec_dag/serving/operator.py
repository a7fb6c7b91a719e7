"""The routes for those who run a library, behind the page at /operator: all of them read."""

from fastapi import FastAPI

from avrec_dag.serving.live import Live
from avrec_dag.serving.overview.library import (
    Duplicates,
    Inventory,
    Moderation,
    OfClass,
    Quality,
    classes_of,
    duplicates_of,
    inventory,
    moderation_of,
    quality_of,
)
from avrec_dag.serving.overview.models import Freshness, Models, freshness_of, models_of


def routes(app: FastAPI, live: Live) -> None:
    """Add the routes to the service: all of them read, all of them are for those who run it."""
    ledger = live.ledger

    @app.get("/v1/operator/library", tags=["operator"])
    def library() -> Inventory:
        """What was uploaded, by day, and what could not be read."""
        return inventory(ledger)

    @app.get("/v1/operator/classes", tags=["operator"])
    def classes() -> tuple[OfClass, ...]:
        """The largest classes."""
        return classes_of(ledger)

    @app.get("/v1/operator/quality", tags=["operator"])
    def quality() -> Quality:
        """How quality is distributed, and what spoils it."""
        return quality_of(ledger)

    @app.get("/v1/operator/duplicates", tags=["operator"])
    def duplicates() -> Duplicates:
        """Copies."""
        return duplicates_of(ledger)

    @app.get("/v1/operator/moderation", tags=["operator"])
    def moderation() -> Moderation:
        """What moderation decided, and what waits for a person."""
        return moderation_of(ledger)

    @app.get("/v1/operator/models", tags=["operator"])
    def models() -> Models:
        """The models that serve and their evaluations."""
        return models_of(ledger)

    @app.get("/v1/operator/freshness", tags=["operator"])
    def freshness() -> Freshness:
        """How new every table is, how long uploads take, and what the lists promise."""
        return freshness_of(ledger)
