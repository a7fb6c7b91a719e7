"""The library that the settings in the environment name, opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from avrec_dag.feedback import FeedbackLog, Rules
from avrec_dag.feedback.erasing import Traces
from avrec_dag.feedback.reading import read_rules
from avrec_dag.labelling import LabelLog
from avrec_dag.ledger import Ledger
from avrec_dag.steps import Step, graph
from avrec_dag.storage import Blobs
from resources import logs
from resources.media import Snapshot
from resources.profiles import Settings

if TYPE_CHECKING:
    from avrec_dag.recommend.live import Recommender
    from avrec_dag.serving.access import Access


@dataclass(frozen=True)
class Library:
    """The parts of one library; nothing is read before it is asked for.

    Attributes:
        settings: Where everything is.
    """

    settings: Settings

    @cached_property
    def ledger(self) -> Ledger:
        """Its tables."""
        return Ledger(self.settings.store)

    @cached_property
    def blobs(self) -> Blobs:
        """Its pictures, arrays and models."""
        return Blobs(self.settings.store)

    @cached_property
    def source(self) -> Snapshot:
        """Its uploads, listed once."""
        return Snapshot(self.settings.media)

    @cached_property
    def log(self) -> FeedbackLog:
        """What people did."""
        return FeedbackLog(self.settings.feedback)

    @cached_property
    def rules(self) -> Rules:
        """What each kind of it says."""
        return read_rules(self.settings.feedback_weights)

    @cached_property
    def labels(self) -> LabelLog:
        """What people said items are."""
        return LabelLog(self.settings.feedback)

    @cached_property
    def traces(self) -> Traces:
        """What its logs hold of an item or a person, to be erased."""
        return Traces(self.settings.feedback)

    @cached_property
    def access(self) -> "Access":
        """Who may ask its service for what."""
        from avrec_dag.serving.access import Access, Keyring
        from avrec_dag.serving.access.tokens import Tokens

        told = self.settings.service
        tokens = Tokens(told.issuer, told.audience) if told.issuer else None
        return Access(Keyring(Path(told.keys)), tokens, per_second=told.per_second, origins=told.origins)

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """The graph of items under these settings."""
        return graph(self.settings.recipe())

    @cached_property
    def recommender(self) -> "Recommender":
        """The trained model with its index, loaded."""
        from avrec_dag.recommend.live import Recommender

        return Recommender.load(self.ledger, self.blobs, self.rules, self.settings.knobs)


def opened() -> Library:
    """The library of the environment.

    Raises:
        SettingError: A setting cannot work.
    """
    library = Library(Settings.from_env())
    logs.configure(library.settings.log)
    _ = library.steps  # an unknown encoder is told now, not when half of the work is done
    return library
