import subprocess
import sys


def test_the_package_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "graft", "show", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Usage: python -m graft show" in done.stdout
