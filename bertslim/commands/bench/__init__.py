"""`bertslim bench`."""

from bertslim.commands.bench.command import register as register
