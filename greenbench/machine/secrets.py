"""Secrets: the URI of a store, which shows no password, and texts without those that are known.

All that prints, logs or keeps such a URI has it as a `StoreUri`; all that others' errors and
warnings say goes through `redact` where it becomes ours.
"""

import base64
import html
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, NoReturn
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"pass(?!ive|es|ed|ing)|pwd|secret|token(?!iz)|credential|signature|jwt|bearer|odbc_connect"
    r"|(api|access|private|account|storage|shared|sas)[-_.]?key|(^|[-_.])(key|sig|auth)$",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(
    r"(_PWD|PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|(API|ACCESS|PRIVATE|SECRET|ACCOUNT)_?KEY)$"
)
_AUTHORIZATION = re.compile(r"(?i)(authorization\W{1,4}(?:basic|bearer)\s+)[^\s\"']+")
_URI = re.compile(r"(?<![\w+.\-])[A-Za-z][\w+.\-]{0,40}://\S+")
_NAME = r"(?P<before>[?&;#])(?P<name>[^=&?#;\s/]+)="
_PARAMETER = re.compile(rf"{_NAME}(?P<value>[^&]*)")
_PARAMETER_IN_TEXT = re.compile(rf"{_NAME}(?P<value>[^&\s\"'<>]*)")
_ASSIGNMENT = re.compile(
    r"(?i)(?P<name>\b\w*(?:password|passwd|pwd)\s*=\s*)"
    r"(?P<value>\{(?:[^}]|\}\})*(?:\}|$)|'[^']*'|\"[^\"]*\"|[^\s;,&)'\"]+)"
)
_ODBC = re.compile(
    r"(?i)(?P<name>[^=;]*(?:pass|pwd|secret|token)[^=;]*=\s*)"
    # One that has a semicolon belongs in braces, which people forget.
    r"(?P<value>\{(?:[^}]|\}\})*(?:\}|$)|[^;]*(?:;[^;=]+(?=;|$))*)"
)
# A user may have an @, as Azure's have; and what is hidden anyway, anything.
_MAY_HAVE_AT = re.compile(r"(?i)(user|username|uid|email)$")
_PORT = re.compile(r"\d{1,5}/")
_SERVER = re.compile(r"[^:/@]*(:\d+)?(/[^@]*)?")
_LEAST = 3
"""A shorter secret is hidden in URIs alone: in other texts it may be part of any word."""
_LEAST_VARIABLE = 6
_LEAST_ANYWHERE = 5


class StoreUri:
    """The URI of a store; as a text, and to whoever prints what holds it, without its secrets.

    It shows scheme, user, host, port and database. It is no `str`, cannot be pickled, and says
    all only when it is asked to with `reveal`.

    Parameters
    ----------
    uri : str or StoreUri
        As MLflow takes it: ``sqlite:///…``, another database, or ``http(s)://…``.
    """

    def __init__(self, uri: "str | StoreUri") -> None:
        text = uri.reveal() if isinstance(uri, StoreUri) else uri
        # In a function, because whoever shows an object may show its attributes.
        self._reveal: Callable[[], str] = lambda: text

    def reveal(self) -> str:
        """Return all of it, for whoever opens the store."""
        return self._reveal()

    @property
    def address(self) -> str:
        """The URI without user and query: for links, which shells and browsers remember."""
        parts = _parse(self.reveal())
        place = re.split(r"[?#]", parts.place, maxsplit=1)[0]
        return f"{parts.scheme}{place}".rstrip("/")

    @property
    def is_server(self) -> bool:
        """Whether it is that of an MLflow server, rather than of a database."""
        return str(self).startswith(("http://", "https://"))

    def redact(self, text: str) -> str:
        """Return a text of somebody else's, such as an error's, without the secrets of this URI.

        Parameters
        ----------
        text : str
            May have the URI, or its password alone, in any spelling.
        """
        return redact(_without_uri(text, self.reveal()))

    def __str__(self) -> str:
        return _shown(self.reveal())

    def __repr__(self) -> str:
        return f"StoreUri({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreUri) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self) -> "StoreUri":
        return self

    def __deepcopy__(self, _memo: object) -> "StoreUri":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("the URI of a store is not pickled: it may have a password")


def redact(text: str) -> str:
    """Return a text without passwords: those of URIs in it, and those of the environment.

    The environment is looked at here, so that nobody can forget to pass on what it hides.

    Parameters
    ----------
    text : str
        What somebody else says: an error, a warning, a log.
    """
    for name, value in os.environ.items():
        # That of a store is one also where it is misspelled.
        if _URI.match(value) or (name.startswith("MLFLOW_") and name.endswith("_URI")):
            text = _without_uri(text, value)
        elif _SECRET_VARIABLE.search(name):
            least = _LEAST if name.startswith("MLFLOW_") else _LEAST_VARIABLE
            text = _without(text, [value] if len(value) >= least else [])
    user, password = map(os.environ.get, ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"))
    text = _without(text, _basic(user or "", password) if password else [])
    text = _URI.sub(lambda found: _joined(_parse(found[0], is_whole=False)), text)
    text = _PARAMETER_IN_TEXT.sub(_shown_parameter, text)
    text = _AUTHORIZATION.sub(rf"\g<1>{HIDDEN}", text)
    return _without_assigned(text)


def _without_assigned(text: str) -> str:
    return _ASSIGNMENT.sub(rf"\g<name>{HIDDEN}", text)


class _Parts(NamedTuple):
    """A URI: ``place`` is what follows the user, query included; the rest may be absent."""

    scheme: str
    user: str | None
    password: str | None
    place: str


def _parse(uri: str, *, is_whole: bool = True) -> _Parts:
    """Take a URI apart as whoever wrote it meant it.

    Standards end the user where the first ``/``, ``?`` or ``@`` is; in passwords people forget
    to encode these. So the last ``@`` ends it here, wherever that may be.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        scheme, rest = "", uri
    is_path = rest.startswith("/") if mark else re.match(r"/(?!/)|\.|~|file:/", rest)
    if is_path and (not mark or scheme.lower().startswith(("sqlite", "file"))):
        return _Parts(scheme + mark, None, None, rest)
    main, question, query = rest.partition("?")
    if not (question and _is_query(query) and ("@" in main or _SERVER.fullmatch(main))):
        main, question, query = rest, "", ""
    userinfo, at, place = main.rpartition("@")
    place += question + query
    found = re.match(r"(?is)(?P<user>.*?)(?::|%3A)(?P<password>.*)", userinfo)
    if not at or not (is_whole or _is_likely(userinfo, found)):
        return _Parts(scheme + mark, None, None, rest)
    user, password = (found["user"], found["password"]) if found else (userinfo, None)
    if (not mark or scheme.lower().startswith("http")) and password in (None, "", "x-oauth-basic"):
        # Servers take tokens in place of users.
        user, password = None, ":".join(filter(None, (user, password)))
    return _Parts(scheme + mark, user, password, place)


def _is_likely(userinfo: str, found: "re.Match[str] | None") -> bool:
    """Return whether this is a user in the midst of a text, where URIs have ``@`` in paths, too."""
    return not _PORT.match(found["password"]) if found else "/" not in userinfo


def _is_query(text: str) -> bool:
    """Return whether a text is a query, and not the rest of a password that has a ``?``."""
    pairs = [pair.partition("=") for pair in text.split("&")]
    return all(
        re.fullmatch(r"[\w.%\-\[\]]+", name)
        and equals
        and ("@" not in value or _is_secret(name) or _MAY_HAVE_AT.match(name))
        for name, equals, value in pairs
    )


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(unquote(name)) is not None


def _shown(uri: str) -> str:
    """Return a URI with ``***`` for its password and the secrets of its query."""
    parts = _parse(uri)
    shown = _joined(parts._replace(place=_PARAMETER.sub(_shown_parameter, parts.place)))
    # What is no URI may be what a driver takes, as libpq does: host=… password=…
    return shown if "://" in uri else _without_assigned(shown)


def _joined(parts: _Parts) -> str:
    if parts.user is None and parts.password is None:
        return parts.scheme + parts.place
    if parts.password is None:
        return f"{parts.scheme}{parts.user}@{parts.place}"
    user = "" if parts.user is None else f"{parts.user}:"
    return f"{parts.scheme}{user}{HIDDEN}@{parts.place}"


def _shown_parameter(found: "re.Match[str]") -> str:
    value = found["value"]
    if not _is_secret(found["name"]):
        plain = unquote_plus(value)
        # A URI in a URI.
        inner = _shown(plain) if "://" in plain else plain
        value = value if inner == plain else quote_plus(inner, safe="*")
    elif "odbc" in found["name"].lower():
        plain = unquote_plus(value)
        inner = _ODBC.sub(rf"\g<name>{HIDDEN}", plain)
        value = value if inner == plain else quote_plus(inner, safe="*")
    else:
        value = HIDDEN
    return f"{found['before']}{found['name']}={value}"


def _secrets(uri: str) -> list[str]:
    """Return what is not to be seen of a URI, and what headers and messages make of it."""
    parts = _parse(uri)
    found = [parts.password or "", *_secret_values(parts.place)]
    # A library that takes a part of a password for a host or a port complains of that part.
    pieces = [piece for each in found for piece in re.split(r"[/?#@:\s]+", each)]
    if parts.password:
        found += _basic(parts.user or "", parts.password) + _basic(parts.password, "")
    return [*found, *pieces]


def _basic(user: str, password: str) -> list[str]:
    """Return what the header of a request has for a user and a password."""
    both = f"{unquote(user)}:{unquote(password)}"
    return [
        base64.b64encode(both.encode(encoding, "replace")).decode()
        for encoding in ("utf-8", "latin-1")
    ]


def _secret_values(place: str) -> Iterator[str]:
    for found in _PARAMETER.finditer(place):
        if not _is_secret(found["name"]):
            plain = unquote_plus(found["value"])
            yield from _secrets(plain) if "://" in plain else ()
            continue
        yield found["value"]
        for inner in _ODBC.finditer(unquote_plus(found["value"])):
            yield inner["value"].strip()
            yield inner["value"].strip("{} ").replace("}}", "}")


def _without_uri(text: str, uri: str) -> str:
    shown = _shown(uri)
    if shown == uri:
        return text
    for form in _forms(uri):
        text = re.sub(re.escape(form), lambda _: shown, text, flags=re.IGNORECASE)
    return _without(text, _secrets(uri), shown)


def _without(text: str, secrets: Iterable[str], shown: str = "") -> str:
    """Return a text in which ``***`` stands for secrets, however they are spelled.

    One that is shown anyway, as a database may have its user's name for a password, stays:
    to hide it would say which.
    """
    forms = {form for secret in secrets if len(secret) >= _LEAST for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        # What may be a part of longer words is a secret only where it stands alone.
        alone = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2}))" + re.escape(form) + r"(?![^\W_])"
        if form == HIDDEN or re.search(alone, shown):
            continue
        is_word = form.isalpha() or len(form) < _LEAST_ANYWHERE
        # Names of hosts are written small, and a library may take a secret for one.
        pattern = alone if is_word else re.escape(form)
        text = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    return text


def _forms(secret: str) -> list[str]:
    """Return the spellings of a text in URIs, in Python's and JSON's texts and in HTML."""
    plain = {secret, unquote(secret), unquote_plus(secret)}
    encoded = {
        quoted(each, safe=safe, encoding="utf-8", errors="backslashreplace")
        for each in plain
        for quoted in (quote, quote_plus)
        for safe in ("", "/", "/:@")
    }
    escaped = {form for each in plain for form in _escaped(each)}
    forms = {*plain, *encoded, *escaped} - {""}
    return sorted(forms, key=len, reverse=True)


def _escaped(text: str) -> Iterator[str]:
    yield repr(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield html.escape(text)
    yield " ".join(text.split())
