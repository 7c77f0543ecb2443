"""What each process of the distributed test runs; started by torchrun: commands, one by one."""

import json
import sys

import torch
from accelerate import PartialState

from bertslim.cli import main

if __name__ == "__main__":
    torch.set_num_threads(1)
    codes = [main(words) for words in json.loads(sys.argv[1])]
    PartialState().destroy_process_group()
    sys.exit(max(codes))
