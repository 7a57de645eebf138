"""Whether anybody answers at the Hugging Face hub."""

from functools import cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_ANSWER_S = 5  # seconds in which the hub answers, or is not there


@cache
def is_offline() -> bool:
    """Nobody answers at the hub, so what it would give must be in its cache; its client would ask for minutes."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return True
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=_ANSWER_S).close()  # noqa: S310 - http(s)
    except HTTPError:  # an answer, too
        return False
    except OSError:
        return True
    return False
