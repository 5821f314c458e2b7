#!/usr/bin/env bash
# Runs the tests that need a GPU, from a build or from a bundle (scripts/bundle.sh). Prints a gtest summary for each
# program; without a GPU the cases are skipped, with the reason. Usage: scripts/test_gpu.sh [FOLDER]
#   FOLDER   of the test programs; default: the bundle that this script lies in, or build/release/tests/gpu
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-}
if [ -z "$folder" ]; then
  folder=$here
  [ -x "$folder/ops_gpu_test" ] || folder=$here/../build/release/tests/gpu
fi
status=0
for program in attend_gpu_test ops_gpu_test kv_cache_gpu_test train_gpu_test; do
  [ -x "$folder/$program" ] || { echo "[test_gpu] $folder/$program is missing: build with nvcc on PATH"; exit 1; }
  echo "[test_gpu] $program"
  "$folder/$program" --gtest_brief=1 || status=1
done
exit $status
