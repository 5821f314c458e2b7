#!/usr/bin/env bash
# Sets up, builds, and runs every test. The last lines are ctest's summary. Needs no GPU. Usage: scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# Where ccache has nothing yet, it takes what a file includes from the compiler instead of preprocessing it first.
export CCACHE_DEPEND=1
scripts/setup.sh --tests

echo "[test] clang-format, and comments of at most 100 columns, which it leaves alone"
mapfile -t sources < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
.venv/bin/clang-format --dry-run --Werror "${sources[@]}"
if LC_ALL=C.UTF-8 grep -nHE '^ *//' "${sources[@]}" | LC_ALL=C.UTF-8 grep -E ':[0-9]+:.{101,}$'; then
  echo "[test] these comments are longer than 100 columns" >&2
  exit 1
fi

echo "[test] building the parsers and their fuzzers under ASan and UBSan"
cmake --preset asan
cmake --build build/asan
echo "[test] building (release)"
cmake --preset release -DLONGGEN_TESTS=ON
cmake --build build/release

status=0
echo "[test] parsers under ASan and UBSan, a minute for each fuzzer"
ctest --test-dir build/asan --output-on-failure -j 2 || status=1
echo "[test] everything (release)"
ctest --test-dir build/release --output-on-failure -j 2 || status=1
exit $status
