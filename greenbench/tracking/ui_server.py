"""Settings of gunicorn, which serves the MLflow UI; read by it, and in place of those it finds."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

POLL_S = 1.0

workers = 1
threads = 8
loglevel = "warning"
graceful_timeout = 1
control_socket_disable = True


def when_ready(_server: Any) -> None:
    """Let the server end with the command that started it, also where that is killed."""
    started_by = int(os.environ["GREENBENCH_UI_PID"])
    threading.Thread(target=_end_after, args=(started_by,), daemon=True).start()


def _end_after(pid: int) -> None:
    while _is_there(pid):
        time.sleep(POLL_S)
    if settings := os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
        # The private folder, with the password.
        shutil.rmtree(Path(settings).parent, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
