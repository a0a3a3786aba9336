"""Errors that are the user's to mend: shown as one line, exit code 2."""

from __future__ import annotations


class BadInput(ValueError):
    """What was given cannot be used; the message names the place and the way out."""
