#!/bin/sh
# From nothing to the shipped prompt writer: composes, trains, exports, evaluates. Goes on where it was stopped.
#   training/run_writer.sh WORK_FOLDER [OUT_FOLDER]
set -eu
cd "$(dirname "$0")/.."
work=${1:?"usage: training/run_writer.sh WORK_FOLDER [OUT_FOLDER]"}
out=${2:-$work/writer}
python=${PYTHON:-.venv/bin/python}
nice -n 19 "$python" -m training.writer --work "$work" --out "$out" --steps 1400 --threads 2 --seed 0
nice -n 19 "$python" -m training.writer_evaluate --folder "$out"
