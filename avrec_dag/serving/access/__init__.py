"""Who may ask the service for what: keys and tokens, scopes, how often; open to this machine alone until the first key is made."""

from avrec_dag.serving.access.callers import ANYBODY, Caller, caller_of, refuse_stranger
from avrec_dag.serving.access.door import Access, loopback, token_of
from avrec_dag.serving.access.keys import Keyring
from avrec_dag.serving.access.scopes import SCOPES, Scope, required

__all__ = ["ANYBODY", "SCOPES", "Access", "Caller", "Keyring", "Scope", "caller_of", "loopback", "refuse_stranger", "required", "token_of"]
