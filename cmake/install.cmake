# cmake --install BUILD --prefix P: the program, the library for C++ programs with its CMake package, and the GPU plug-in
# where it was built. docs/library.md has what a user does with it.
if(NOT LONGGEN_TORCH)
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Libraries find each other beside themselves and libtorch where it was at build time.
file(RELATIVE_PATH lib_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(longgen PROPERTIES INSTALL_RPATH "$ORIGIN/${lib_from_bin};${CMAKE_BUILD_RPATH}")
set(libraries longgen_shared longgen_attention)
if(LONGGEN_HAS_CUDA)
  list(APPEND libraries longgen_cuda)
endif()
set_target_properties(${libraries} PROPERTIES INSTALL_RPATH "$ORIGIN;${CMAKE_BUILD_RPATH}")

install(TARGETS longgen RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${libraries} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES longgen/api/longgen.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/longgen)
install(FILES longgen/base/error.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/longgen/base)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
# xgrammar is part of the program.
install(FILES ${LONGGEN_XGRAMMAR_DIR}/LICENSE ${LONGGEN_XGRAMMAR_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR}/xgrammar)

get_target_property(LONGGEN_SOVERSION longgen_shared SOVERSION)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/longgen)
configure_package_config_file(cmake/longgenConfig.cmake.in ${CMAKE_BINARY_DIR}/longgenConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/longgenConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/longgenConfig.cmake ${CMAKE_BINARY_DIR}/longgenConfigVersion.cmake
  DESTINATION ${package_dir})
