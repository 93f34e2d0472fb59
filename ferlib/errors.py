"""The one exception that users are meant to see: a single line that says what to do."""

from __future__ import annotations


class FerlibError(Exception):
    """Something the user can put right. The message is one line and names the remedy."""


class DataError(FerlibError):
    """A dataset on disk is missing, damaged or laid out in a way that is not understood."""


class BadUsage(FerlibError):
    """An option has a value that it cannot have."""


class RecordError(FerlibError):
    """A run record is missing, damaged or would be replaced by one with less evidence."""
