# `cmake --install build --component firmware --prefix FOLDER`: one folder with the shared library, what its engines need of
# theirs, headers, packages, a model, licences and an SPDX SBOM. It can be moved anywhere and names no path of this machine.
set(_default_model "")
foreach(_model dpiqa-lite0-int8.pte dpiqa-lite0-int8.onnx)
  if(NOT _default_model AND EXISTS "${PROJECT_SOURCE_DIR}/models/${_model}"
     AND ((_model MATCHES "pte$" AND executorch IN_LIST DPIQA_ENGINES) OR (_model MATCHES "onnx$" AND openvino IN_LIST DPIQA_ENGINES)))
    set(_default_model "${PROJECT_SOURCE_DIR}/models/${_model}")
  endif()
endforeach()
set(DPIQA_FIRMWARE_MODEL "${_default_model}" CACHE FILEPATH "The model file of the firmware bundle; empty for none")

# The same objects with another search path: an installed libdpiqa finds its engines where they were built against.
add_library(dpiqa_firmware SHARED)
target_link_libraries(dpiqa_firmware PRIVATE $<BUILD_INTERFACE:dpiqa_objects>)
target_include_directories(dpiqa_firmware PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(dpiqa_firmware PRIVATE "LINKER:--version-script=${CMAKE_CURRENT_SOURCE_DIR}/exports.map" "LINKER:--gc-sections")
set_target_properties(dpiqa_firmware PROPERTIES OUTPUT_NAME dpiqa EXPORT_NAME dpiqa VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR} LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/firmware"
  INSTALL_RPATH "$ORIGIN" INSTALL_RPATH_USE_LINK_PATH OFF)

set(_firmware COMPONENT firmware EXCLUDE_FROM_ALL)
install(TARGETS dpiqa_firmware EXPORT dpiqaFirmwareTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${_firmware})
install(EXPORT dpiqaFirmwareTargets NAMESPACE dpiqa:: DESTINATION ${_package} ${_firmware})
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/dpiqaConfigVersion.cmake"
  DESTINATION ${_package} ${_firmware})
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/dpiqa.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${_firmware})
install(DIRECTORY include/dpiqa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${_firmware})
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION share/dpiqa/licences RENAME dpiqa.txt ${_firmware})
if(DPIQA_FIRMWARE_MODEL)
  install(FILES "${DPIQA_FIRMWARE_MODEL}" DESTINATION share/dpiqa ${_firmware})
endif()

set(_engine_files "")
set(_packages "dpiqa|${PROJECT_VERSION}|Apache-2.0" "nlohmann-json|NOASSERTION|MIT")
if(executorch IN_LIST DPIQA_ENGINES)
  list(APPEND _engine_files ${EXECUTORCH_FILES})
  file(GLOB _info "${EXECUTORCH_ROOT}/../executorch-*.dist-info")
  string(REGEX REPLACE ".*executorch-([0-9.]+)\\.dist-info" "\\1" _version "${_info}")
  list(APPEND _packages "executorch|${_version}|BSD-3-Clause" "XNNPACK|NOASSERTION|BSD-3-Clause"
    "pthreadpool|NOASSERTION|BSD-2-Clause" "cpuinfo|NOASSERTION|BSD-2-Clause" "flatbuffers|NOASSERTION|Apache-2.0")
  file(GLOB_RECURSE _licences "${_info}/*LICENSE*")
  foreach(_licence ${_licences})
    install(FILES "${_licence}" DESTINATION share/dpiqa/licences RENAME executorch.txt ${_firmware})
  endforeach()
endif()
if(openvino IN_LIST DPIQA_ENGINES)
  # What is mapped when an ONNX file is scored on the CPU.
  set(_folder "${DPIQA_OPENVINO_FOLDER}")
  file(GLOB _libraries "${_folder}/libopenvino.so.*" "${_folder}/libopenvino_intel_cpu_plugin.so"
    "${_folder}/libopenvino_arm_cpu_plugin.so" "${_folder}/libopenvino_onnx_frontend.so.*" "${_folder}/libtbb.so.12")
  list(APPEND _engine_files ${_libraries})
  list(APPEND _packages "openvino|${OpenVINO_VERSION}|Apache-2.0" "oneTBB|NOASSERTION|Apache-2.0" "onnx|NOASSERTION|Apache-2.0")
  file(GLOB _licences "${_folder}/../../openvino-*.dist-info/licenses/LICENSE" "${_folder}/../../openvino-*.dist-info/LICENSE")
  foreach(_licence ${_licences})
    install(FILES "${_licence}" DESTINATION share/dpiqa/licences RENAME openvino.txt ${_firmware})
  endforeach()
endif()
install(PROGRAMS ${_engine_files} DESTINATION ${CMAKE_INSTALL_LIBDIR} ${_firmware})
configure_file(firmware_finish.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/firmware_finish.cmake" @ONLY)
install(SCRIPT "${CMAKE_CURRENT_BINARY_DIR}/firmware_finish.cmake" ${_firmware})
