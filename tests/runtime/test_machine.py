"""The machine is described from what the kernel says."""

import numpy

from bertslim.runtime.machine import cpu_info, this_machine

TWO_PROCESSORS = "processor\t: 0\nmodel name\t: Fast\nflags\t\t: avx2 amx_int8\n\nprocessor\t: 1\n"


def test_fields_of_the_first_processor() -> None:
    info = cpu_info(TWO_PROCESSORS)
    assert info == {"processor": "0", "model name": "Fast", "flags": "avx2 amx_int8"}


def test_this_machine_has_a_name_cores_and_versions() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.versions["numpy"] == numpy.__version__
