# xgrammar (Apache-2.0; it holds picojson, BSD-2-Clause, and the headers of DLPack, Apache-2.0): the C++ source of its
# PyPI archive, which scripts/setup.sh unpacks. A static library with the flags of this build, but none of its warnings.
set(LONGGEN_XGRAMMAR_DIR ${CMAKE_SOURCE_DIR}/.venv/xgrammar-0.1.32 CACHE PATH "Folder of xgrammar's source")
if(NOT EXISTS ${LONGGEN_XGRAMMAR_DIR}/include/xgrammar/xgrammar.h)
  message(FATAL_ERROR "xgrammar's source not found in '${LONGGEN_XGRAMMAR_DIR}': run scripts/setup.sh, which unpacks it "
                      "into .venv/, or set LONGGEN_XGRAMMAR_DIR")
endif()
file(GLOB_RECURSE xgrammar_sources ${LONGGEN_XGRAMMAR_DIR}/cpp/*.cc)
list(FILTER xgrammar_sources EXCLUDE REGEX "/nanobind/")
add_library(xgrammar STATIC ${xgrammar_sources})
target_include_directories(xgrammar SYSTEM PUBLIC ${LONGGEN_XGRAMMAR_DIR}/include
  ${LONGGEN_XGRAMMAR_DIR}/3rdparty/dlpack/include PRIVATE ${LONGGEN_XGRAMMAR_DIR}/3rdparty/picojson)
target_compile_definitions(xgrammar PRIVATE XGRAMMAR_ENABLE_CPPTRACE=0 XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
# Under the sanitizers it is held to its memory (ASan); what UBSan says of code that is not ours would end the program.
target_compile_options(xgrammar PRIVATE -w -g0)
if(LONGGEN_SANITIZE)
  target_compile_options(xgrammar PRIVATE -fno-sanitize=undefined)
endif()
set_target_properties(xgrammar PROPERTIES CXX_STANDARD 17 EXPORT_COMPILE_COMMANDS OFF)
