# The GPU plug-in, liblonggen_cuda.so: kernels for Hopper (sm_90a) and the file that registers them with torch. It is
# built where nvcc is found; the program loads it at run time, so that nothing of CUDA is needed without a GPU.
#   LONGGEN_CUDA   AUTO (default): where nvcc is found; ON: stop if it is not; OFF
set(LONGGEN_HAS_CUDA OFF)
if(NOT LONGGEN_TORCH OR LONGGEN_CUDA STREQUAL "OFF")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(NOT LONGGEN_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "LONGGEN_CUDA is ON, but no nvcc was found: install the CUDA toolkit 13.0 or set CUDACXX")
  endif()
  message(STATUS "No nvcc found: the GPU plug-in is not built")
  return()
endif()

# The architecture is given as a flag: CMake 3.25 does not know sm_90a, which has wgmma and setmaxnreg.
set(CMAKE_CUDA_ARCHITECTURES OFF)
set(CMAKE_CUDA_STANDARD 17)
enable_language(CUDA)
find_package(CUDAToolkit 12.8 REQUIRED)
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
