"""The virtual environment: made once, mended when its making was interrupted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinicx.local import virtualenv

# Answers what it is asked about itself: version 3.9, and no ensurepip.
TOO_OLD = "#!/bin/sh\necho 3.9\n"
INCOMPLETE = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac\n'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A copy of the script in a project, with a space in its path."""
    folder = tmp_path / "my project"
    script = folder / "clinicx" / "local" / "virtualenv.py"
    script.parent.mkdir(parents=True)
    shutil.copy(virtualenv.__file__, script)
    return script


def run(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script], capture_output=True, text=True)


class TestVirtualenv:
    def test_is_made_once_and_begun_anew_after_an_interruption(self, script):
        """
        What a failed installation left is thrown away; what was there otherwise is not.
        """
        requirements = script.parents[2] / "requirements.txt"
        venv = script.parents[2] / ".venv"
        requirements.write_text("./no-such-folder\n")
        failed = run(script)
        trace = venv / "trace"
        trace.touch()
        assert failed.returncode != 0

        requirements.write_text("")
        mended = run(script)
        assert mended.returncode == 0
        assert "Making .venv" in mended.stdout
        assert not trace.exists()

        trace.touch()
        again = run(script)
        assert again.returncode == 0
        assert again.stdout == ""

        os.utime(requirements, (time.time() + 60, time.time() + 60))
        changed = run(script)
        assert "Installing" in changed.stdout
        assert "Making .venv" not in changed.stdout
        assert trace.exists()


class TestFindPython:
    @pytest.mark.parametrize(
        ("program", "message"),
        [
            (TOO_OLD, "ClinicX needs Python 3.11 or newer, and this machine has 3.9"),
            (INCOMPLETE, "python3 is here, but without .* apt install python3-venv"),
        ],
    )
    def test_says_what_to_install(self, tmp_path, monkeypatch, program, message):
        (tmp_path / "python3").write_text(program)
        (tmp_path / "python3").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(virtualenv.NoPython, match=message):
            virtualenv.find_python((3, 9))
