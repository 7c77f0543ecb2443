import os
import subprocess
import sys

CODE = """
import ctypes
from bertslim.console import reserved_stdout
with reserved_stdout():
    print("python")
    ctypes.CDLL(None).printf(b"buffered by C\\n")
print("the result")
"""


def test_what_c_libraries_buffer_goes_to_stderr() -> None:
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "the result\n"
    assert sorted(done.stderr.split("\n")) == ["", "buffered by C", "python"]
