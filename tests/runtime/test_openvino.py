"""What engines of OpenVINO do to the process that they run in."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CLOSED_IN_THE_ORDER_OF_THEIR_MAKING = """
import signal

from bertslim.runtime.engine import build
from tests.runtime.worlds import SETTINGS, source_of

engines = [build("openvino", "fp32", source_of(), SETTINGS) for _ in range(2)]
for engine in engines:
    engine.close()
del engine, engines
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
signal.raise_signal(signal.SIGINT)
"""


def test_a_signal_after_engines_were_closed_is_no_crash() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_IN_THE_ORDER_OF_THEIR_MAKING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
