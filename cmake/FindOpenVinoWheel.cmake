# OpenVINO's Python wheel ships its headers, libraries and CMake package: use it unless OpenVINO_DIR says otherwise.
if(NOT OpenVINO_DIR AND NOT CMAKE_CROSSCOMPILING)
  find_package(Python COMPONENTS Interpreter QUIET)
  if(Python_FOUND)
    execute_process(COMMAND "${Python_EXECUTABLE}" -c
      "import importlib.util as u; print(u.find_spec('openvino').submodule_search_locations[0])"
      OUTPUT_VARIABLE _package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(EXISTS "${_package}/cmake/OpenVINOConfig.cmake")
      set(OpenVINO_DIR "${_package}/cmake" CACHE PATH "Folder of OpenVINOConfig.cmake")
    endif()
  endif()
endif()
