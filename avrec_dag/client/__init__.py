"""A typed client of the service: one method for every operation of its description, by the same name.

    with Client("http://127.0.0.1:8000", key) as client:
        for one in client.recommendations("ada", k=5).items:
            print(one.title, one.reason)

Needs httpx (extra `client`).
"""

from avrec_dag.client.asking import ProblemError
from avrec_dag.client.operations import Client, Recommendations

__all__ = ["Client", "ProblemError", "Recommendations"]
