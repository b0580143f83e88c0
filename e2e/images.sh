#!/usr/bin/env bash
# Builds every Dockerfile and tests the images, from a fresh clone on Debian, as root. See e2e/images/main.ts.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d node_modules ] || npm ci --no-audit --no-fund
export PATH=$PWD/node_modules/.bin:$PATH
exec node e2e/images/main.ts "$@"
