"""Telling the world outside that a run failed: one JSON message by POST."""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus

from avrec_dag.errors import SettingError

_TIMEOUT_S, _WHOLE_S, _PAUSES_S = 5.0, 20.0, (0.5, 2.0)


def read_address(name: str, env: Mapping[str, str]) -> str:
    """The address in a variable, or nothing; SettingError, which does not show it, where it is none."""
    found = env.get(name, "").strip()
    if found and not re.fullmatch(r"https?://[^/\s]+\S*", found):
        raise SettingError(f"{name} is no http or https address (it is not shown, as it is a secret); correct it or leave it out")
    return found


class _Stay(urllib.request.HTTPRedirectHandler):
    """A message goes where it was addressed, or nowhere."""

    def redirect_request(self, req: object, fp: object, code: int, msg: str, headers: object, newurl: str) -> None:
        """Follow no redirection."""


def post(address: str, message: Mapping[str, object], *, pauses_s: tuple[float, ...] = _PAUSES_S, whole_s: float = _WHOLE_S) -> str:
    """Send a message, again after each pause where that may help, and never longer than `whole_s` seconds in all.

    urllib and not a client that logs what it asks: the address is a secret.

    Args:
        address: An http or https URL.
        message: What is sent, as JSON.
        pauses_s: Seconds to wait before each further attempt.
        whole_s: Seconds after which it is given up, whatever the server does.

    Returns:
        Why it was not delivered, without the address; empty when it was.
    """
    outcome = [f"no answer within {whole_s:.0f} s"]

    def deliver() -> None:
        problem = _once(address, message)
        for pause_s in pauses_s:
            if not problem or problem.startswith("refused"):
                break
            time.sleep(pause_s)
            problem = _once(address, message)
        outcome[0] = problem

    thread = threading.Thread(target=deliver, daemon=True)  # a server that answers a byte a second holds nobody up
    thread.start()
    thread.join(whole_s)
    return outcome[0]


def _once(address: str, message: Mapping[str, object]) -> str:
    body = json.dumps(message, ensure_ascii=False, default=str).encode()
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.build_opener(_Stay).open(request, timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        again = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.TOO_MANY_REQUESTS
        error.close()
        return f"{'the server says' if again else 'refused with'} {error.code}"
    except OSError as error:  # its text may hold the address
        reason = getattr(error, "reason", error)
        return f"not reached: {type(reason).__name__}"
    except ValueError:
        return "refused: the address is none"
