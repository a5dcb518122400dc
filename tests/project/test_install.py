"""What installs the Python packages: uv with pip's settings, and pip where uv fails."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from hw2.paths import ROOT

SPEC = importlib.util.spec_from_file_location("install", ROOT / "code" / "install.py")
install = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(install)


@pytest.fixture
def pip_file(tmp_path, monkeypatch):
    """The only file of settings that pip reads."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    return file


def test_uv_is_handed_what_pip_was_told(pip_file, monkeypatch):
    pip_file.write_text(
        "[global]\nindex-url = https://example.org/simple\n"
        "extra-index-url =\n    file:///a/simple\n    file:///b/simple\n"
        "find-links = /global\ncert = /a.pem\n[install]\nfind-links = /install\n"
    )
    settings = install.pip_settings()
    variables = install.as_uv_variables(settings)
    expected = {
        "UV_DEFAULT_INDEX": "https://example.org/simple",
        "UV_INDEX": "file:///a/simple file:///b/simple",
        "UV_FIND_LINKS": "/install",
        "SSL_CERT_FILE": "/a.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    # besides what the system's own file may set
    assert variables | expected == variables
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    settings = install.pip_settings()
    assert install.as_uv_variables(settings)["UV_FIND_LINKS"] == "/one,/two"


def test_without_settings_uv_has_its_own():
    assert install.as_uv_variables({}) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.mark.parametrize(
    ("statuses", "called", "status"),
    [
        ({}, ["pip", "uv"], 0),
        ({"uv": 2}, ["pip", "uv", "pip"], 0),
        ({"uv": 130}, ["pip", "uv"], 130),
        ({"pip": 1}, ["pip", "pip"], 1),
    ],
    ids=["uv", "uv fails", "Ctrl-C", "no uv, and pip fails"],
)
def test_pip_installs_where_uv_cannot(monkeypatch, statuses, called, status):
    calls = []

    def run(command, **options):
        tool = command[2]
        if tool == "pip" and command[3] == "config":
            return subprocess.CompletedProcess(command, 0, "", "")
        calls.append(tool)
        assert "--require-hashes" in command
        return subprocess.CompletedProcess(command, statuses.get(tool, 0), "", "why")

    monkeypatch.setattr(install.subprocess, "run", run)
    assert install.install("requirements.lock") == status
    assert calls == called


def test_extras_are_pinned_too():
    """An older pip takes `coverage[toml]` for another package than `coverage`, and asks
    for its newest version, which has no hash here.
    """
    text = (ROOT / "requirements.lock").read_text()
    names = [line.split("=")[0] for line in text.splitlines() if line[:1].isalnum()]
    locked = {pin.name: pin.extras for pin in map(Requirement, names)}
    asked = {
        (needed.name, extra)
        for name in locked
        for line in _requirements(name)
        if (needed := Requirement(line)).name in locked
        and (needed.marker is None or needed.marker.evaluate({"extra": ""}))
        for extra in needed.extras
    }
    assert ("coverage", "toml") in asked
    assert {
        (name, extra) for name, extra in asked if extra not in locked[name]
    } == set()


def _requirements(name):
    """What an installed package needs; nothing of one that is for other systems."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def test_uv_is_pinned_with_hashes_and_names_no_address():
    lock = (ROOT / "code" / "uv.lock").read_text(encoding="utf-8")
    assert lock.startswith("uv==")
    assert "--hash=sha256:" in lock
    assert "://" not in lock


def test_uv_is_what_installs_here(tmp_path):
    """The whole of it in an empty environment, with a lock of one small package."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("iniconfig=="))
    last = next(i for i in range(first, len(lines)) if not lines[i].endswith("\\"))
    (tmp_path / "small.lock").write_text("\n".join(lines[first : last + 1]) + "\n")
    done = subprocess.run(
        [environment / "bin" / "python", ROOT / "code" / "install.py", "small.lock"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "no uv (above)" in done.stderr:
        pytest.skip("uv cannot be had here")
    assert done.returncode == 0, done.stderr
    assert "+ iniconfig==" in done.stderr
