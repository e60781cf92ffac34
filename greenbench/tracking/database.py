"""Credentials of stores, which stay secret."""

import re


def redact(text: str) -> str:
    """Return `text` with the user information and secrets of URIs blanked out."""
    text = re.sub(r"(\w+://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"(?i)([?&]\w*(?:password|token|key|secret)=)[^&\s]+", r"\1***", text)
