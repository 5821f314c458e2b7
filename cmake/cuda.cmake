# The GPU plug-in, liblonggen_cuda.so: kernels for Hopper (sm_90a) and the file that registers them with torch. It is
# built where nvcc 13 is found; the program loads it at run time, so that nothing of CUDA is needed without a GPU.
#   LONGGEN_CUDA   AUTO (default): where nvcc is found; ON: stop if it is not; OFF
set(LONGGEN_HAS_CUDA OFF)
if(NOT LONGGEN_TORCH OR LONGGEN_CUDA STREQUAL "OFF")
  return()
endif()
include(find_nvcc)
if(NOT CMAKE_CUDA_COMPILER)
  find_nvcc(${site_packages})
  if(LONGGEN_NVCC STREQUAL "")
    string(CONCAT no_nvcc "expected nvcc 13, found ${LONGGEN_NVCC_FOUND}. "
      "scripts/setup.sh --cuda installs it into .venv/; CUDACXX names another one")
    if(NOT LONGGEN_CUDA STREQUAL "AUTO")
      message(FATAL_ERROR "LONGGEN_CUDA is ON: ${no_nvcc}")
    endif()
    message(STATUS "The GPU plug-in is not built: ${no_nvcc}")
    return()
  endif()
  # An earlier run may have left NOTFOUND in the cache.
  unset(CMAKE_CUDA_COMPILER CACHE)
  set(CMAKE_CUDA_COMPILER ${LONGGEN_NVCC})
endif()
message(STATUS "The GPU plug-in is built with ${CMAKE_CUDA_COMPILER}")

# The architecture is given as a flag: CMake 3.25 does not know sm_90a, which has wgmma and setmaxnreg.
set(CMAKE_CUDA_ARCHITECTURES OFF)
set(CMAKE_CUDA_STANDARD 17)
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)
set(LONGGEN_HAS_CUDA ON)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(torch_cuda INTERFACE)
target_link_libraries(torch_cuda INTERFACE
  torch_cpu ${LONGGEN_TORCH_DIR}/lib/libtorch_cuda.so ${LONGGEN_TORCH_DIR}/lib/libc10_cuda.so CUDA::cudart)

add_library(longgen_cuda_flags INTERFACE)
target_include_directories(longgen_cuda_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(longgen_cuda_flags INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:
  -gencode=arch=compute_90a,code=sm_90a -lineinfo --expt-relaxed-constexpr -Xcompiler=-Wall>)

# longgen_cuda_part(NAME [EXACT] SOURCES... [DEPS...]): one folder's part of the plug-in. Its .cu files include no torch
# header (30 s a file); a binding.cpp does. EXACT: without --use_fast_math, for code that divides and takes roots.
set_property(GLOBAL PROPERTY LONGGEN_CUDA_PARTS "")
function(longgen_cuda_part name)
  cmake_parse_arguments(arg "EXACT" "" "SOURCES;DEPS" ${ARGN})
  add_library(longgen_${name} OBJECT ${arg_SOURCES})
  if(NOT arg_EXACT)
    target_compile_options(longgen_${name} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--use_fast_math>)
  endif()
  target_link_libraries(longgen_${name} PRIVATE longgen_cuda_flags longgen_flags torch_cuda)
  foreach(dep ${arg_DEPS})
    target_link_libraries(longgen_${name} PRIVATE longgen_${dep})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY LONGGEN_CUDA_PARTS longgen_${name})
endfunction()

# longgen_cuda_plugin(): the plug-in from all parts, beside liblonggen_ops.so.
function(longgen_cuda_plugin)
  get_property(parts GLOBAL PROPERTY LONGGEN_CUDA_PARTS)
  set(objects "")
  foreach(part ${parts})
    list(APPEND objects $<TARGET_OBJECTS:${part}>)
  endforeach()
  add_library(longgen_cuda SHARED ${objects})
  target_link_libraries(longgen_cuda PRIVATE longgen_attention torch_cuda)
  set_target_properties(longgen_cuda PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:longgen_attention> CUDA_RESOLVE_DEVICE_SYMBOLS OFF LINKER_LANGUAGE CXX)
endfunction()
