"""What a tracking server refuses, said as an error that its user can mend."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from cloze.errors import UserError

_STATUS = re.compile(r"failed with error code (\d{3})")
_NO_ANSWER = "failed with exception"


class RefusedError(UserError):
    """A tracking server does not answer, or does not let its user do this."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn what MLflow's client raises where a server refuses, or does not answer, into a RefusedError."""
    try:
        yield
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        raise RefusedError(told) from error


def _told(error: Exception) -> str | None:
    if type(error).__module__ != "mlflow.exceptions":
        return None
    from mlflow_projects.tracking import public_tracking_uri

    text, where = str(error), public_tracking_uri()
    status = _STATUS.search(text)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    if status and status[1] == "401":
        who = f"refuses the password of {user}" if user else "asks who you are"
        return f"{where} {who}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (docs/server.md)"
    if status and status[1] == "403":
        said = text.partition("Response body:")[2].strip() or text
        remedy = "write to an experiment of your own (MLFLOW_EXPERIMENT_NAME), or ask its owner (docs/server.md)"
        return f"{where} does not let {user or 'you'} do this ({said}): {remedy}"
    if _NO_ANSWER in text:
        return f"{where} does not answer ({text.partition(_NO_ANSWER)[2].strip()[:200]}): is MLFLOW_TRACKING_URI right?"
    return None
