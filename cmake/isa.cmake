# Instruction sets that inner loops are compiled for, and the flags of each. longgen/base/cpu_features.h has the same
# names and knows what a machine must have to run one; there is no -march=native.
set(LONGGEN_ISAS baseline)
set(LONGGEN_ISA_FLAGS_baseline "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND LONGGEN_ISAS avx2 avx512)
  set(LONGGEN_ISA_FLAGS_avx2 -mavx2 -mfma)
  set(LONGGEN_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
endif()

# longgen_isa_kernels(NAME SOURCES... [FLAGS...]): the sources once for each instruction set, with LONGGEN_ISA naming the
# namespace and LONGGEN_ISA_NAME the same as a string. Sets NAME_objects, sources for the folder's longgen_library().
function(longgen_isa_kernels name)
  cmake_parse_arguments(arg "" "" "SOURCES;FLAGS" ${ARGN})
  set(objects "")
  foreach(isa ${LONGGEN_ISAS})
    set(target longgen_${name}_${isa})
    add_library(${target} OBJECT ${arg_SOURCES})
    target_compile_definitions(${target} PRIVATE LONGGEN_ISA=${isa} LONGGEN_ISA_NAME="${isa}")
    target_compile_options(${target} PRIVATE
      -O3 -ffp-contract=fast -Wno-psabi ${arg_FLAGS} ${LONGGEN_ISA_FLAGS_${isa}})
    target_link_libraries(${target} PRIVATE longgen_flags)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set(${name}_objects ${objects} PARENT_SCOPE)
endfunction()
