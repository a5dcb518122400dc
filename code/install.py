"""Install what a lock file pins into the environment whose Python runs this.

uv takes half of pip's time, and pip installs where uv cannot be had or fails. uv reads
none of pip's settings, so it is handed them. Needs the standard library alone.
"""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PIP = [sys.executable, "-m", "pip"]
# pip's setting, uv's variable, what separates several values
SETTINGS = [
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("no-index", "UV_NO_INDEX", " "),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("timeout", "UV_HTTP_TIMEOUT", " "),
    ("default-timeout", "UV_HTTP_TIMEOUT", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("proxy", "ALL_PROXY", " "),
]


def pip_settings() -> dict[str, str]:
    """pip's settings by name. As in pip the environment comes before its files, and
    there what is for `pip install` before what is for all of pip.
    """
    listed = subprocess.run(
        [*PIP, "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                found[name.removeprefix(f"{section}.")] = ast.literal_eval(value)
    return found


def as_uv_variables(settings: dict[str, str]) -> dict[str, str]:
    """The same settings as variables for uv."""
    variables = {
        variable: separator.join(settings[name].split())
        for name, variable, separator in SETTINGS
        if settings.get(name)
    }
    # like pip, take a version from whichever index has it: its hash is what counts
    return variables | {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def install(lock: str) -> int:
    """Install with uv, or else with pip. Returns the exit status of the last one."""
    quiet = ["--disable-pip-version-check", "--require-hashes"]
    bootstrap = [*PIP, "install", "--quiet", *quiet, "-r", str(HERE / "uv.lock")]
    done = subprocess.run(bootstrap, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        uv = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
        # what the user has set for uv itself comes first
        environment = as_uv_variables(pip_settings()) | os.environ
        status = subprocess.run(
            [*uv, "--require-hashes", "-r", lock], env=environment, check=False
        ).returncode
        if status in (0, 130):
            return status
        print("uv could not install them (above); trying pip", file=sys.stderr)
    else:
        print(f"{done.stderr.strip()}\nno uv (above); trying pip", file=sys.stderr)
    return subprocess.run([*PIP, "install", *quiet, "-r", lock], check=False).returncode


if __name__ == "__main__":
    # the installer ends with this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(install(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
