#!/bin/sh
# Makes the starter model, from drawing to evaluation. Run it again to go on where it stopped.
# usage: training/run_starter.sh [WORK_FOLDER]; checkpoints and pools, about 3 GB, lie there.
set -eu
cd "$(dirname "$0")/.."
work=${1:-${LIMNER_TRAINING_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/limner-training}}
python=${PYTHON:-.venv/bin/python}
export OMP_WAIT_POLICY=PASSIVE # threads that wait must not take time from what else runs here

"$python" -m training.text_encoder --work "$work"
"$python" -m training.autoencoder --work "$work" --steps "${AUTOENCODER_STEPS:-9600}"
"$python" -m training.pool --work "$work" --shards "${SHARDS:-24}"
"$python" -m training.denoiser --work "$work" --pictures "${PICTURES:-400000}"
"$python" -m training.autoencoder --work "$work" --last-stage --steps "${LAST_STAGE_STEPS:-1200}"
"$python" -m training.decoder --work "$work" --shards "${WORN_SHARDS:-6}" --steps "${DECODER_STEPS:-900}"
"$python" -m training.export --work "$work"
"$python" -m training.trajectories --work "$work" --shards "${TRAJECTORY_SHARDS:-24}"
"$python" -m training.distill --work "$work" --steps "${DISTILL_STEPS:-800}"
"$python" -m training.export --work "$work" --fast
"$python" -m training.evaluate --work "$work"
"$python" -m training.evaluate --work "$work" --model starter-fast
