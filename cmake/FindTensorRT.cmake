# TensorRT (8.6 or later) or TensorRT-RTX: NvInfer.h and the library that runs engines.
# TensorRT_ROOT points to an unpacked archive; TENSORRT_INCLUDE_DIR and TENSORRT_LIBRARY name them one by one.
find_path(TENSORRT_INCLUDE_DIR NvInfer.h PATH_SUFFIXES include)
find_library(TENSORRT_LIBRARY NAMES nvinfer tensorrt_rtx nvinfer_lean PATH_SUFFIXES lib lib64)
if(TENSORRT_LIBRARY MATCHES "tensorrt_rtx")
  set(TENSORRT_FLAVOUR tensorrt-rtx)
else()
  set(TENSORRT_FLAVOUR tensorrt)
endif()
set(TENSORRT_IS_LEAN OFF)
if(TENSORRT_LIBRARY MATCHES "nvinfer_lean")
  set(TENSORRT_IS_LEAN ON)  # loads version-compatible engines only
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT REQUIRED_VARS TENSORRT_LIBRARY TENSORRT_INCLUDE_DIR)
if(TensorRT_FOUND AND NOT TARGET TensorRT::Runtime)
  add_library(TensorRT::Runtime UNKNOWN IMPORTED)
  set_target_properties(TensorRT::Runtime PROPERTIES IMPORTED_LOCATION "${TENSORRT_LIBRARY}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${TENSORRT_INCLUDE_DIR}"
    INTERFACE_INCLUDE_DIRECTORIES "${TENSORRT_INCLUDE_DIR}")
endif()
