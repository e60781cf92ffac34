"""A companion of a worker: learns with it, from its own part of every batch.

The worker says on standard input what it trains (`greenbench.search.sharing`); each request gets
one line of answer on standard output: that it is done, or why not.
"""

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from greenbench import registry
from greenbench.backends import TrainableModel
from greenbench.backends.sharing import SharingBackend
from greenbench.cases import Case
from greenbench.machine.places import described
from greenbench.machine.secrets import redact
from greenbench.machine.surroundings import (
    draw_without_screen,
    tolerate_warnings,
    wait_for_children,
)
from greenbench.running.channels import listen, take_over, write
from greenbench.running.parts import import_parts
from greenbench.search.kept_data import KeptData
from greenbench.search.subject import NetworkSubject, load_subject
from greenbench.search.unmeasured import unmeasured
from greenbench.tracking.autologging import forbid_autologging


def main() -> None:
    """Serve requests until standard input ends."""
    draw_without_screen(os.environ)
    tolerate_warnings()
    wait_for_children()
    answers, given = take_over()
    requests = listen(given)
    forbid_autologging()
    companion: Companion | None = None
    while True:
        request = requests.get()
        try:
            if companion is None:
                companion = Companion(request)
            else:
                companion.serve(request)
        except Exception as error:
            print(redact(traceback.format_exc()), file=sys.stderr, flush=True)
            write(answers, {"error": redact(described(error))})
        else:
            write(answers, {})


class Companion:
    """What a companion has: its backend, the subject, and models by number.

    Parameters
    ----------
    request : mapping
        The first one: ``backend``, ``threads``, ``devices``, ``rank``, ``data_dir``, and which
        modules to import.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        registry.load_plugins()
        import_parts(request["modules"], request["in_sight"], request["parts"])
        name = request["backend"]
        options = {key: request[key] for key in ("threads", "devices", "rank")}
        self._backend: SharingBackend = registry.backends.get(name)(name, **options)
        self._data_dir = Path(request["data_dir"])
        self._subject: NetworkSubject | None = None
        self._models: dict[int, TrainableModel] = {}
        self._kept = KeptData()

    def serve(self, request: Mapping[str, Any]) -> None:
        """Do what is asked for."""
        for number in request.get("drop", ()):
            self._models.pop(number, None)
        if "join" in request:
            self._backend.join(Path(request["join"]))
        elif "case" in request:
            self._take(request)
        elif "build" in request:
            self._build(request)
        else:
            # Of the order only its length counts: the worker's is handed out.
            order = np.zeros(request["samples"], np.int64)
            self._models[request["train"]].train_epoch(order)

    def _take(self, request: Mapping[str, Any]) -> None:
        if "modules" in request:
            import_parts(request["modules"], request["in_sight"], request["parts"])
        self._models.clear()
        bench = unmeasured(self._backend, self._data_dir, lambda event, values: None)
        bench = replace(bench, kept=self._kept)
        self._subject = load_subject(bench, Case.from_dict(request["case"]), request["repeat"])

    def _build(self, request: Mapping[str, Any]) -> None:
        assert self._subject is not None
        wanted = self._subject.request(request["hyperparameters"], request["seed"])
        self._models[request["build"]] = self._backend.build(wanted)


if __name__ == "__main__":
    try:
        main()
    finally:
        # An interpreter that shuts down would wait for the thread that reads its input.
        os._exit(1)
