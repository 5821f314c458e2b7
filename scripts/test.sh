#!/usr/bin/env bash
# Sets up, builds, and runs every test. The last lines are ctest's summary. Needs no GPU. Usage: scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --tests

echo "[test] clang-format"
git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs .venv/bin/clang-format --dry-run --Werror

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
