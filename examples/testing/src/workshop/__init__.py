"""A small diagnostic client (UDS, ISO 14229-1): the program whose tests are shown here."""

from .client import Client, NoAnswerError, RefusedError

__all__ = ["Client", "NoAnswerError", "RefusedError"]
