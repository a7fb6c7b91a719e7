"""The one way to S3."""

from avrec_dag.s3.access import ATTEMPTS, CONNECT_S, READ_S, Access, attempts, client, endpoint, identity, region
from avrec_dag.s3.conditions import refuse_without_conditions
from avrec_dag.s3.objects import PART_BYTES, delete, fail, get, put, split
from avrec_dag.s3.patience import at_once, passing, patiently, status
from avrec_dag.s3.reading import BLOCK_BYTES, MOST_BLOCKS, S3File

__all__ = [
    "ATTEMPTS", "BLOCK_BYTES", "CONNECT_S", "MOST_BLOCKS", "PART_BYTES", "READ_S", "Access", "S3File", "at_once", "attempts", "client",
    "delete", "endpoint", "fail", "get", "identity", "passing", "patiently", "put", "refuse_without_conditions", "region", "split",
    "status",
]  # fmt: skip
