# ExecuTorch's Python wheel ships its headers and libraries; EXECUTORCH_ROOT, here or in the environment, names its folder
# `executorch` where Python does not find it. Its own CMake package wants CMake 3.28 and a Python, so the three libraries that a delegated program needs are named here.
if(NOT EXECUTORCH_ROOT)
  set(EXECUTORCH_ROOT "$ENV{EXECUTORCH_ROOT}")
endif()
if(NOT EXECUTORCH_ROOT AND NOT CMAKE_CROSSCOMPILING)
  find_package(Python COMPONENTS Interpreter QUIET)
  if(Python_FOUND)
    execute_process(COMMAND "${Python_EXECUTABLE}" -c
      "import importlib.util as u; print(u.find_spec('executorch').submodule_search_locations[0])"
      OUTPUT_VARIABLE EXECUTORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
set(EXECUTORCH_LIBRARIES executorch_backend_xnnpack executorch executorch_threadpool)
set(EXECUTORCH_FILES "")
foreach(_library ${EXECUTORCH_LIBRARIES})
  list(APPEND EXECUTORCH_FILES "${EXECUTORCH_ROOT}/lib/lib${_library}.so")
endforeach()
foreach(_file ${EXECUTORCH_FILES} "${EXECUTORCH_ROOT}/include/executorch/runtime/executor/program.h")
  if(NOT EXISTS "${_file}")
    set(ExecuTorchWheel_MISSING "${_file}")
  endif()
endforeach()
set(ExecuTorchWheel_FOUND FALSE)
if(NOT ExecuTorchWheel_MISSING)
  set(ExecuTorchWheel_FOUND TRUE)
  add_library(dpiqa_executorch INTERFACE)
  target_include_directories(dpiqa_executorch SYSTEM INTERFACE "${EXECUTORCH_ROOT}/include"
    "${EXECUTORCH_ROOT}/include/executorch/runtime/core/portable_type/c10")
  target_compile_definitions(dpiqa_executorch INTERFACE C10_USING_CUSTOM_GENERATED_MACROS ET_EVENT_TRACER_ENABLED
    ET_USE_THREADPOOL)
  # The backend registers itself when it is loaded; nothing refers to it.
  target_link_libraries(dpiqa_executorch INTERFACE "-Wl,--push-state,--no-as-needed" ${EXECUTORCH_FILES} "-Wl,--pop-state")
elseif(ExecuTorchWheel_FIND_REQUIRED)
  message(FATAL_ERROR "ExecuTorch is not here (no ${ExecuTorchWheel_MISSING}): pip install --no-deps executorch, or set EXECUTORCH_ROOT")
endif()
