"""`greenbench sessions`: what the store has, a session a line."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.output import emit
from greenbench.errors import ConfigurationError
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from greenbench.compare.sessions import Stored


@click.command()
@click.option("--suite", help="Only sessions of this suite.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def sessions(*, suite: str | None, as_json: bool) -> None:
    """List the sessions in the store, the newest first: what each ran, and its energy.

    `--session` of other commands takes their ids.
    """
    from greenbench.compare.sessions import sessions_of  # noqa: PLC0415
    from greenbench.running.manifest import state_of  # noqa: PLC0415
    from greenbench.terminal.sessions import print_sessions  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    settings = read_settings()
    store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    found = sessions_of(store.read_rows(suite))
    if not found:
        of = f" of suite {suite!r}" if suite else ""
        raise ConfigurationError(
            f"no session{of} in {settings.tracking_uri}; run one with `greenbench run`"
        )
    states = {each.id: state_of(settings.journal_dir / (each.id or "–")) for each in found}
    if as_json:
        emit(strict_json({"sessions": [_to_json(each, states[each.id]) for each in found]}))
    else:
        print_sessions(found, states)


def _to_json(session: "Stored", state: str) -> dict[str, Any]:
    from greenbench.compare.sessions import saved_wh  # noqa: PLC0415

    at = session.started_at
    least, most = session.repeats
    return {
        "session": session.id or None,
        "started_at": None if at is None else datetime.fromtimestamp(at, UTC).isoformat(),
        "suite": session.suite,
        "cases": [*session.cases],
        "results": len(session.rows),
        "repeats": {"least": least, "most": most},
        "hosts": [*session.hosts],
        "state": state,
        "failed": session.failed,
        "energy_wh": session.energies_wh,
        "reused": len(session.reused),
        "saved_wh": saved_wh(session.rows),
        "unknown_energy": session.unknown,
    }
