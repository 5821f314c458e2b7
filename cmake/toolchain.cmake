# Compiler settings: warnings are errors in our code, ccache where it is installed, no -march=native
# (a binary must run on machines with AVX2 only; ATen chooses its kernels at run time, and so do we).

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(longgen_flags INTERFACE)
target_compile_options(longgen_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Werror -Wno-unknown-pragmas
  $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local -Wno-restrict>>)  # gcc 12: false alarms in std::string
target_include_directories(longgen_flags INTERFACE ${CMAKE_SOURCE_DIR})

if(LONGGEN_SANITIZE)
  # -g1: reports name functions and lines, and need no more.
  add_compile_options(-fsanitize=${LONGGEN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${LONGGEN_SANITIZE})
endif()
