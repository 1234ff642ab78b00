#!/bin/sh
# Makes the starter model, from drawing to evaluation. Run it again to go on where it stopped.
# usage: training/run_starter.sh [WORK_FOLDER [MODEL_FOLDER]]; checkpoints and pools, about 3 GB, lie in the first.
# The model goes to where the repository ships it, or to MODEL_FOLDER, the fast one beside it.
set -eu
cd "$(dirname "$0")/.."
work=${1:-${LIMNER_TRAINING_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/limner-training}}
folder=${2:-src/limner/weights/starter}
folder=${folder%/}
python=${PYTHON:-.venv/bin/python}
export OMP_WAIT_POLICY=PASSIVE # threads that wait must not take time from what else runs here

"$python" -m training.text_encoder --work "$work" --steps "${TEXT_STEPS:-1500}"
"$python" -m training.autoencoder --work "$work" --shards "${PICTURE_SHARDS:-8}" --steps "${AUTOENCODER_STEPS:-9600}"
"$python" -m training.pool --work "$work" --shards "${SHARDS:-40}"
if [ -n "${GPU_SECONDS:-}" ]; then # by the clock, on a GPU beside many processors
    "$python" -m training.on_gpu --work "$work" --seconds "$GPU_SECONDS"
else
    "$python" -m training.denoiser --work "$work" --pictures "${PICTURES:-450000}"
fi
"$python" -m training.autoencoder --work "$work" --shards "${PICTURE_SHARDS:-8}" --last-stage \
    --steps "${LAST_STAGE_STEPS:-1200}"
"$python" -m training.decoder --work "$work" --shards "${WORN_SHARDS:-8}" --steps "${DECODER_STEPS:-1200}"
"$python" -m training.export --work "$work" --folder "$folder"
"$python" -m training.trajectories --work "$work" --shards "${TRAJECTORY_SHARDS:-16}"
"$python" -m training.distill --work "$work" --steps "${DISTILL_STEPS:-600}"
"$python" -m training.export --work "$work" --folder "$folder" --fast
for model in "$folder" "$folder-fast"; do
    # word splitting is wanted: flags for a shorter trial
    # shellcheck disable=SC2086
    "$python" -m training.evaluate --work "$work" --model "$model" ${EVALUATE_FLAGS:-}
done
