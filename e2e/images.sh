#!/usr/bin/env bash
# Builds every Dockerfile and talks to the images, from a fresh clone on Debian as root. e2e/images/main.ts does it.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d node_modules ] || npm ci --no-audit --no-fund
export PATH=$PWD/node_modules/.bin:$PATH
exec node e2e/images/main.ts "$@"
