#!/usr/bin/env bash
# Sets up and builds. Usage: scripts/build.sh [PRESET], default release. The program is then build/PRESET/longgen.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

scripts/setup.sh
echo "[build] preset $preset (a first release build takes up to 15 minutes on 2 cores)"
cmake --preset "$preset"
cmake --build "build/$preset"
echo "[build] done: build/$preset"
