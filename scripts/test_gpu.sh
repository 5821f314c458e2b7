#!/usr/bin/env bash
# Runs the tests that need a GPU, from a build or from a bundle (scripts/bundle.sh). Prints a gtest summary for each
# program. Without a GPU the cases are skipped, with the reason; on a machine with one a case that was skipped is a failure.
# Usage: scripts/test_gpu.sh [--sanitize] [FOLDER]
#   --sanitize   instead, some small cases under compute-sanitizer (CUDA toolkit): memcheck, racecheck, synccheck
#   FOLDER       of the test programs; default: the bundle that this script lies in, or build/release/tests/gpu
set -euo pipefail
# The references on the CPU are many small products: 32 threads need minutes where four need seconds.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
here=$(cd "$(dirname "$0")" && pwd)
sanitize=false
if [ "${1:-}" = --sanitize ]; then
  sanitize=true
  shift
  PATH=$PATH:/usr/local/cuda/bin
  command -v compute-sanitizer > /dev/null || { echo "[test_gpu] compute-sanitizer is not on PATH: it comes with the CUDA toolkit"; exit 1; }
fi
folder=${1:-}
if [ -z "$folder" ]; then
  folder=$here
  [ -x "$folder/ops_gpu_test" ] || folder=$here/../build/release/tests/gpu
fi
# The program, and the test of its commands: in a bundle beside the others.
longgen=$folder/longgen device_test=$folder/device_test.py
[ -x "$longgen" ] || longgen=$folder/../../longgen
[ -f "$device_test" ] || device_test=$here/../tests/e2e/device_test.py
# Of each program the cases that are small enough for racecheck, which takes a thousand times as long.
declare -A small_cases=(
  [attend_gpu_test]='*BitEqual/38:*BitEqual/40:*BitEqual/122:*BitEqual/123:*BitEqual/131'
  [ops_gpu_test]='*RmsNorm:*Rope:*SplitRotated:*SwiGlu:FewRowsGpu.LinearOfSmallWeights:*LinearCrossEntropy:LossGpu.Distillation:*KnownLogits:*InfiniteLogits*:*EmbeddingGradient:*SumOfSquares'
  [kv_cache_gpu_test]='*RowsThatSee*:*AStepOfNobody*:*PagesHold*:*ContextIsLike*:*OnePass*'
  [train_gpu_test]='OptimizerGpu.*'
  [draw_gpu_test]='*BadLogits*:*AFewRows*'
)
# A machine with a GPU: the driver's tool lists one, or the driver has made its device file.
has_gpu=false
if nvidia-smi -L 2> /dev/null | grep -q '^GPU ' || [ -e /dev/nvidia0 ]; then has_gpu=true; fi

status=0
# $1: the test that was skipped, the rest: why.
skipped() {
  local name=$1
  shift
  if ! $has_gpu; then echo "[test_gpu] $name skipped: $*"; return; fi
  echo "[test_gpu] $name FAILED: this machine has a GPU, and still it was skipped: $*"
  status=1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in attend_gpu_test ops_gpu_test kv_cache_gpu_test train_gpu_test draw_gpu_test; do
  [ -x "$folder/$program" ] || { echo "[test_gpu] $folder/$program is missing: run scripts/setup.sh --cuda and build again"; exit 1; }
  if ! $sanitize; then
    echo "[test_gpu] $program"
    "$folder/$program" --gtest_brief=1 2>&1 | tee "$log" || status=1
    count=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests\{0,1\}[.,].*/\1/p' "$log" | head -1)
    [ -z "$count" ] || skipped "$program" "$count cases"
    continue
  fi
  for tool in memcheck racecheck synccheck; do
    echo "[test_gpu] $program, $tool"
    cases=${small_cases[$program]}
    # racecheck reports kernels of cuBLAS, and crashes with a filter that leaves them out. KnownLogits and InfiniteLogits
    # have the kernels of these two cases alone.
    [ "$tool" != racecheck ] || cases+=:-*LinearCrossEntropy:LossGpu.Distillation
    compute-sanitizer --tool "$tool" --error-exitcode 1 --print-limit 3 \
      "$folder/$program" --gtest_brief=1 --gtest_filter="$cases" 2>&1 | tee "$log" || status=1
    ! grep -q '^\[  SKIPPED \]' "$log" || skipped "$program" "under $tool"
  done
done
if ! $sanitize && "$longgen" --version | grep -q 'GPU: none'; then
  skipped device_test.py "$("$longgen" --version | grep -o 'GPU: none.*')"
elif ! $sanitize; then
  echo "[test_gpu] device_test.py: the commands on the GPU against the CPU"
  python3 "$device_test" "$longgen" cuda || status=1
fi
exit $status
