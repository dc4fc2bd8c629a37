# `cmake --install`: headers, shared and static library, find_package(dpiqa) and a pkg-config file, all relocatable.
include(CMakePackageConfigHelpers)
set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/dpiqa")
install(TARGETS dpiqa dpiqa_static EXPORT dpiqaTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/dpiqa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT dpiqaTargets NAMESPACE dpiqa:: DESTINATION ${_package})

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/dpiqaConfig.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfig.cmake" INSTALL_DESTINATION ${_package})
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfigVersion.cmake"
  DESTINATION ${_package})

file(RELATIVE_PATH DPIQA_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${PROJECT_SOURCE_DIR}/cmake/dpiqa.pc.in" "${CMAKE_CURRENT_BINARY_DIR}/dpiqa.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/dpiqa.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
