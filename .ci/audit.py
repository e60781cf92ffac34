"""Look for known vulnerabilities of what is installed, where their list can be reached."""

import json
import subprocess
import sys
from importlib.metadata import version
from urllib.request import urlopen

LIST = f"https://pypi.org/pypi/pip/{version('pip')}/json"
"""What pip-audit asks of each package. Of a mirror that has no such page, or none of
vulnerabilities, it says that nothing is known of any."""

try:
    with urlopen(LIST, timeout=30) as answer:
        is_there = "vulnerabilities" in json.load(answer)
    reason = "it says nothing of vulnerabilities"
except (OSError, ValueError) as error:
    is_there, reason = False, str(error)
if not is_there:
    print(f"audit skipped: {LIST} cannot be asked: {reason}")
    sys.exit(0)
# From here on, each failure is one: what is found, and an answer that does not come.
sys.exit(subprocess.call([sys.executable, "-m", "pip_audit", "--local", "--skip-editable"]))
