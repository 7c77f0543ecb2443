#!/usr/bin/env bash
# Make the virtual environment: torch first, in the build that fits this machine, then the rest.
set -euo pipefail
PYTHON=${PYTHON:-python3} VENV=${VENV:-.venv} TORCH=${TORCH:-torch}

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "bertslim needs Python 3.11 or newer, but $PYTHON is $("$PYTHON" --version 2>&1)." >&2
  echo "  hint: make setup PYTHON=python3.12" >&2
  exit 1
fi
if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "$PYTHON cannot make virtual environments." >&2
  echo "  hint: apt-get install python3-venv" >&2
  exit 1
fi

"$PYTHON" -m venv "$VENV"
pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet)
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
  echo "setting up $VENV: torch for CUDA" >&2
  "${pip[@]}" install torch
else
  echo "setting up $VENV: torch for the CPU" >&2
  # PyTorch's own index has builds without CUDA; where it cannot be reached, the package index must do.
  "${pip[@]}" install "$TORCH" --retries 1 --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || {
    echo "PyTorch's index of CPU builds cannot be reached; taking what the package index has" >&2
    "${pip[@]}" install "$TORCH"
  }
fi

extras=openvino,demo,dev
if [ "$(uname -sm)" = 'Linux x86_64' ]; then
  extras=$extras,tensorrt-rtx # builds engines for NVIDIA GPUs on any CPU, which the tests do
else
  echo "TensorRT-RTX has no wheels for $(uname -sm): no engines are built in the tests" >&2
fi
"${pip[@]}" install --editable ".[$extras]"
