"""Tables and blobs."""

import dagster as dg

from avrec_dag import storage
from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs


class Store(dg.ConfigurableResource):
    """Tables and blobs in one folder or S3 prefix.

    Attributes:
        uri: A folder or `s3://bucket/prefix`.
    """

    uri: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Refuse a store that cannot be reached, or does not keep what the tables rely on, before anything is written."""
        storage.check(self.uri)

    @property
    def ledger(self) -> Ledger:
        """The tables."""
        return Ledger(self.uri)

    @property
    def blobs(self) -> Blobs:
        """Pictures, arrays and models."""
        return Blobs(self.uri)
