"""Tables and blobs."""

import dagster as dg

from avrec_dag.ledger import Ledger
from avrec_dag.storage import Blobs


class Store(dg.ConfigurableResource):
    """Tables and blobs in one folder or S3 prefix.

    Attributes:
        uri: A folder or `s3://bucket/prefix`.
    """

    uri: str

    @property
    def ledger(self) -> Ledger:
        """The tables."""
        return Ledger(self.uri)

    @property
    def blobs(self) -> Blobs:
        """Pictures, arrays and models."""
        return Blobs(self.uri)
