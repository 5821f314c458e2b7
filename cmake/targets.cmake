# longgen_library(NAME [TORCH] SOURCES a.cpp... DEPS base... LIBS external...)
#   longgen_NAME, a folder's target, or one of the parts that it divides into: what needs no torch is usable alone. DEPS
#   are targets of ours, LIBS outside libraries.
#   tests/unit/layers_test.py holds every #include against the same graph.
function(longgen_library name)
  cmake_parse_arguments(arg "TORCH;SHARED" "" "SOURCES;DEPS;LIBS" ${ARGN})
  if(arg_TORCH AND NOT LONGGEN_TORCH)
    return()
  endif()
  if(arg_SHARED)
    add_library(longgen_${name} SHARED ${arg_SOURCES})
  else()
    add_library(longgen_${name} STATIC ${arg_SOURCES})
  endif()
  target_link_libraries(longgen_${name} PRIVATE longgen_flags)
  foreach(dep ${arg_DEPS})
    target_link_libraries(longgen_${name} PUBLIC longgen_${dep})
  endforeach()
  target_link_libraries(longgen_${name} PUBLIC ${arg_LIBS})
  if(arg_TORCH)
    target_link_libraries(longgen_${name} PUBLIC torch_cpu)
  endif()
endfunction()

# longgen_test(NAME SOURCES... DEPS... [COST SECONDS]): a GoogleTest program, which is one ctest entry.
function(longgen_test name)
  cmake_parse_arguments(arg "TORCH" "COST" "SOURCES;DEPS" ${ARGN})
  if(arg_TORCH AND NOT LONGGEN_TORCH)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE longgen_flags GTest::gtest GTest::gtest_main)
  foreach(dep ${arg_DEPS})
    target_link_libraries(${name} PRIVATE longgen_${dep})
  endforeach()
  add_test(NAME ${name} COMMAND ${name})
  longgen_test_properties(${name} COST ${arg_COST})
endfunction()

# longgen_test_properties(NAMES... [COST SECONDS]): what all tests have. Each counts as one processor, though libtorch uses
# all of them: most of what tests do runs on one, and threads that wait do not spin (OMP_WAIT_POLICY). ctest begins with
# the tests of the highest COST, the processor seconds of those above a few, so that none of them ends alone.
function(longgen_test_properties)
  cmake_parse_arguments(arg "" "COST" "" ${ARGN})
  set_tests_properties(${arg_UNPARSED_ARGUMENTS} PROPERTIES TIMEOUT 1200 ENVIRONMENT OMP_WAIT_POLICY=passive)
  if(arg_COST)
    set_tests_properties(${arg_UNPARSED_ARGUMENTS} PROPERTIES COST ${arg_COST})
  endif()
endfunction()
