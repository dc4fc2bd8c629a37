# The Python module, for the wheel: it holds the core itself, finds OpenVINO's libraries in the wheel beside it, and brings
# ExecuTorch's along.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(_core python/module.cpp)
target_link_libraries(_core PRIVATE dpiqa_objects dpiqa_flags)
set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/../../openvino/libs")
install(TARGETS _core LIBRARY DESTINATION dpiqa/native)
if(executorch IN_LIST DPIQA_ENGINES)  # 3.5 MB; their wheel brings much that scoring does not need
  install(FILES ${EXECUTORCH_FILES} DESTINATION dpiqa/native)
endif()
set_target_properties(dpiqa dpiqa_static PROPERTIES EXCLUDE_FROM_ALL ON)
