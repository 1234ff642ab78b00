#!/usr/bin/env bash
# What the tests need from the system: installed here as root on Debian, else named in one line.
set -euo pipefail
declare -A needs=([curl]=curl [chromium]=chromium [nginx]=nginx-light [libGL.so.1]=libgl1 [libEGL.so.1]=libegl1)
missing=()
for what in "${!needs[@]}"; do
    if [[ $what == lib* ]]; then
        ldconfig -p 2>/dev/null | grep -q "$what" || missing+=("${needs[$what]}")
    elif [[ $what == nginx && -x /usr/sbin/nginx ]]; then # not on everybody's PATH
        continue
    elif [[ $what == chromium ]] && compgen -G "$HOME/.cache/ms-playwright/chromium*" > /dev/null; then
        continue
    elif ! command -v "$what" > /dev/null; then
        missing+=("${needs[$what]}")
    fi
done
[[ ${#missing[@]} -eq 0 || $(uname) != Linux ]] && exit 0
if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
    echo "limner: installing ${missing[*]} for the tests"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
else
    echo "limner: some tests will be skipped; install: ${missing[*]} (for the browser also: .venv/bin/playwright install chromium)"
fi
