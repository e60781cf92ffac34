#!/bin/sh
# Checks on a machine with one NVIDIA GPU what cannot be checked without; prints one table last.
#
#     PYTHON=.venv/bin/python benchmarks/gpu_check.sh
#
# Takes less than six minutes, needs what `pip install -e .[dev]` gives, and leaves nothing behind.
# The exit code is 0 if all bars are met.
set -eu

PYTHON=${PYTHON:-python3}
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

export GREENBENCH_RUNS_DIR="$folder/runs"
export GREENBENCH_HOST_LOCK="$folder/host.lock"
export GREENBENCH_COUNTRY="${GREENBENCH_COUNTRY:-NLD}"
export MLFLOW_TRACKING_URI="sqlite:///$folder/mlflow.db"
export MPLCONFIGDIR="$folder"

"$PYTHON" benchmarks/gpu_check.py --folder "$folder" "$@"
