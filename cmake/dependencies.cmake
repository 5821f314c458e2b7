# Every library the project links, in one place. scripts/setup.sh installs them: Debian packages system-wide,
# Python wheels (libtorch among them) into .venv/ of the checkout.

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost 1.74 REQUIRED CONFIG)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(simdjson REQUIRED IMPORTED_TARGET simdjson)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
if(LONGGEN_TESTS)
  find_package(GTest REQUIRED)
endif()

if(NOT LONGGEN_TORCH)
  return()
endif()
pkg_check_modules(libedit REQUIRED IMPORTED_TARGET libedit)

# libtorch is the PyPI wheel. find_package(Torch) would demand a complete CUDA installation, so its two CPU
# libraries are imported by hand; they name two small CUDA libraries, which come as wheels too.
file(GLOB torch_candidates ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
set(LONGGEN_TORCH_DIR "${torch_candidates}" CACHE PATH "Folder of the torch wheel (holds include/ and lib/)")
if(NOT EXISTS ${LONGGEN_TORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "libtorch not found in '${LONGGEN_TORCH_DIR}': run scripts/build.sh, which installs it "
                      "into .venv/, or set LONGGEN_TORCH_DIR")
endif()
# Programs that use the installed library must find the same version.
file(STRINGS ${LONGGEN_TORCH_DIR}/version.py LONGGEN_TORCH_VERSION REGEX "^__version__")
string(REGEX REPLACE ".*['\"]([0-9.]+).*" "\\1" LONGGEN_TORCH_VERSION "${LONGGEN_TORCH_VERSION}")
get_filename_component(site_packages ${LONGGEN_TORCH_DIR} DIRECTORY)

add_library(torch_cpu INTERFACE)
target_include_directories(torch_cpu SYSTEM INTERFACE
  ${LONGGEN_TORCH_DIR}/include ${LONGGEN_TORCH_DIR}/include/torch/csrc/api/include)
target_link_libraries(torch_cpu INTERFACE
  ${LONGGEN_TORCH_DIR}/lib/libtorch_cpu.so ${LONGGEN_TORCH_DIR}/lib/libc10.so Threads::Threads)
target_link_options(torch_cpu INTERFACE LINKER:--allow-shlib-undefined LINKER:--disable-new-dtags)
set(CMAKE_BUILD_RPATH ${LONGGEN_TORCH_DIR}/lib ${site_packages}/nvidia/cu13/lib)
