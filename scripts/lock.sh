#!/usr/bin/env bash
# Writes constraints.txt: the versions that pip resolves for everything Limner installs, in an empty environment.
# CUDA's own packages are left out: PyTorch pins them itself, where its CUDA build is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install --quiet --no-deps --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu "$(grep -o 'torch==[0-9.]*' pyproject.toml)"
"${pip[@]}" install --quiet --editable '.[dev,openvino,public,training]'
{
    echo "# Written by make lock."
    "${pip[@]}" list --format freeze --exclude-editable | grep -vE '^(pip|setuptools)==|nvidia|cuda|triton' | sed 's/+cpu$//'
} > constraints.txt
wc -l < constraints.txt
