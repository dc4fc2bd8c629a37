# The header of nlohmann/json: from a system package, or from the Python package nlohmann-json where a wheel is built.
find_path(NLOHMANN_JSON_INCLUDE_DIR nlohmann/json.hpp)
if(NOT NLOHMANN_JSON_INCLUDE_DIR)
  find_package(Python COMPONENTS Interpreter QUIET)
  if(Python_FOUND)
    execute_process(COMMAND "${Python_EXECUTABLE}" -c "import nlohmann_json as n; print(n.__path__[0])"
                    OUTPUT_VARIABLE _package OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    find_path(NLOHMANN_JSON_INCLUDE_DIR nlohmann/json.hpp HINTS "${_package}/include" NO_CMAKE_FIND_ROOT_PATH)
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NlohmannJson REQUIRED_VARS NLOHMANN_JSON_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install nlohmann-json3-dev (apt) or nlohmann-json (pip)")
if(NlohmannJson_FOUND AND NOT TARGET NlohmannJson::NlohmannJson)
  add_library(NlohmannJson::NlohmannJson INTERFACE IMPORTED)
  target_include_directories(NlohmannJson::NlohmannJson SYSTEM INTERFACE "${NLOHMANN_JSON_INCLUDE_DIR}")
endif()
