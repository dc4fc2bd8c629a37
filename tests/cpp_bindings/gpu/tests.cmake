# The TensorRT engine's own code on a fake TensorRT and a stub CUDA runtime: needs neither, nor OpenVINO.
find_package(NlohmannJson REQUIRED)
find_package(Threads REQUIRED)
set(_core "${PROJECT_SOURCE_DIR}/cpp_bindings")
add_library(dpiqa_gpu_code INTERFACE)
target_include_directories(dpiqa_gpu_code BEFORE INTERFACE gpu/stub gpu "${CMAKE_CURRENT_SOURCE_DIR}" "${_core}/include" "${_core}/src"
  "${_core}/cuda" "${_core}/tensorrt")
target_compile_definitions(dpiqa_gpu_code INTERFACE DPIQA_HAS_TENSORRT=1 DPIQA_STUB_CUDA=1
  DPIQA_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/data")
target_link_libraries(dpiqa_gpu_code INTERFACE dpiqa_flags doctest::doctest NlohmannJson::NlohmannJson Threads::Threads)

add_library(dpiqa_gpu_objects OBJECT main.cpp golden.cpp gpu/engine_file.cpp gpu/fake_tensorrt.cpp gpu/stub/kernels.cpp gpu/stub/stub_cuda.cpp
  gpu/stub/stub_streams.cpp "${PROJECT_SOURCE_DIR}/examples/score_nvv4l2.c" gpu/test_jetson_example.cpp gpu/test_tensorrt_engine.cpp
  gpu/test_tensorrt_errors.cpp gpu/test_tensorrt_threads.cpp
  "${_core}/src/engine.cpp" "${_core}/cuda/gpu_preprocessor.cpp" "${_core}/tensorrt/batcher.cpp" "${_core}/tensorrt/kernel_cache.cpp"
  "${_core}/tensorrt/lane.cpp" "${_core}/tensorrt/tensorrt_engine.cpp" "${_core}/tensorrt/tensorrt_request.cpp")
target_include_directories(dpiqa_gpu_objects PRIVATE gpu/jetson)
set_source_files_properties("${PROJECT_SOURCE_DIR}/examples/score_nvv4l2.c" PROPERTIES COMPILE_DEFINITIONS main=score_nvv4l2_main)
target_link_libraries(dpiqa_gpu_objects PRIVATE dpiqa_gpu_code)

# All objects of the core but the engines' and those that are compiled anew above.
set(_objects "$<FILTER:$<TARGET_OBJECTS:dpiqa_objects>,EXCLUDE,engine[a-z_]*\\.cpp|openvino_[a-z0-9]+|model_cache|/cuda/|/tensorrt/>")
add_executable(dpiqa_gpu_tests $<TARGET_OBJECTS:dpiqa_gpu_objects> "${_objects}")
target_link_libraries(dpiqa_gpu_tests PRIVATE dpiqa_gpu_code)
include(gpu/relapses.cmake)
