# The wheel: the Python module, which holds the core itself, and the C library with its headers for programs that need no
# Python. Both find OpenVINO's libraries in the wheel beside them, and bring ExecuTorch's along.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)
pybind11_add_module(_core python/module.cpp)
target_link_libraries(_core PRIVATE dpiqa_objects dpiqa_flags)
# A wheel holds no symbolic links: the library's file has the name that programs load.
set_target_properties(dpiqa PROPERTIES VERSION ${PROJECT_VERSION_MAJOR} INSTALL_RPATH_USE_LINK_PATH OFF)
set_target_properties(_core dpiqa PROPERTIES INSTALL_RPATH "$ORIGIN;$ORIGIN/../../openvino/libs")
install(TARGETS _core dpiqa LIBRARY DESTINATION dpiqa/native NAMELINK_SKIP)
install(DIRECTORY include/dpiqa DESTINATION dpiqa/native/include)
if(executorch IN_LIST DPIQA_ENGINES)  # 3.5 MB; their wheel brings much that scoring does not need
  install(FILES ${EXECUTORCH_FILES} DESTINATION dpiqa/native)
endif()
set_target_properties(dpiqa_static PROPERTIES EXCLUDE_FROM_ALL ON)
