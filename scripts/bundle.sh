#!/usr/bin/env bash
# Makes a folder that runs on another machine with a GPU: program, plug-in, GPU tests, and the Debian libraries that they
# name, but not libtorch. There:
#   export LD_LIBRARY_PATH=FOLDER:$(python3 -c 'import torch; print(torch.__path__[0])')/lib
#   FOLDER/test_gpu.sh; FOLDER/longgen --version
# That machine needs torch 2.11.0 (CUDA 13.0 build) and a C library not older than this one's.
# Usage: scripts/bundle.sh FOLDER [PRESET], default release.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { echo "usage: scripts/bundle.sh FOLDER [PRESET]" >&2; exit 2; }
to=$1 build=build/${2:-release}
programs=("$build/longgen" "$build"/tests/gpu/*_gpu_test)
libraries=("$build/libraries/attention/liblonggen_ops.so" "$build/libraries/attention/liblonggen_cuda.so")
for file in "${programs[@]}" "${libraries[@]}"; do
  [ -e "$file" ] || { echo "[bundle] $file is missing: run scripts/setup.sh --cuda, then scripts/build.sh" >&2; exit 1; }
done
mkdir -p "$to"
cp "${programs[@]}" "${libraries[@]}" scripts/test_gpu.sh tests/e2e/{device_test,cli_case,tiny_model}.py "$to"
# What the system's folders hold, without the C and C++ runtimes.
ldd "${programs[@]}" "${libraries[@]}" | awk '$3 ~ /^\/(usr\/)?lib\// {print $3}' | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|libutil|libstdc\+\+|libgcc_s)\.so' | xargs -r cp -L -t "$to"
strip --strip-debug "$to"/longgen "$to"/*_gpu_test "$to"/liblonggen_*.so
du -sh "$to"
