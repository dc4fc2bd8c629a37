# Installs the library, builds the examples against the installed copy as a user would, and runs them.
# Needs: -DBUILD (the build folder) -DSOURCE (the repository) -DCXX -DCC, -DOPENVINO (its CMake folder), and -DFLAGS for sanitizers.
set(work "${BUILD}/installed")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN} ended with ${status}:\n${output}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/prefix")
foreach(static OFF ON)
  run("${CMAKE_COMMAND}" -S "${SOURCE}/examples" -B "${work}/static-${static}" "-DCMAKE_PREFIX_PATH=${work}/prefix"
      "-DOpenVINO_DIR=${OPENVINO}" "-DEXECUTORCH_ROOT=${EXECUTORCH}" -DSTATIC=${static} "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}"
      "-DCMAKE_C_FLAGS=${FLAGS}" "-DCMAKE_CXX_FLAGS=${FLAGS}")
  run("${CMAKE_COMMAND}" --build "${work}/static-${static}")
endforeach()
set(examples "${work}/static-OFF")

set(model "${SOURCE}/tests/cpp_bindings/data/tiny.onnx")
string(REPEAT "0123456789abcdef" 576 frame)  # 96x64 NV12 is 9216 bytes
file(WRITE "${work}/frames.nv12" "${frame}${frame}")
execute_process(COMMAND "${examples}/score_nv12" "${model}" 96 64 INPUT_FILE "${work}/frames.nv12"
                OUTPUT_VARIABLE lines ERROR_VARIABLE errors RESULT_VARIABLE status)
string(REGEX MATCHALL "\"index\":[01],\"score\":[0-9]+\\.[0-9]+" scores "${lines}")
list(LENGTH scores count)
if(NOT status EQUAL 0 OR NOT count EQUAL 2)
  message(FATAL_ERROR "score_nv12 ended with ${status}: ${lines}${errors}")
endif()

file(WRITE "${work}/cut.nv12" "${frame}abc")
execute_process(COMMAND "${examples}/score_nv12" "${model}" 96 64 INPUT_FILE "${work}/cut.nv12"
                OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 2 OR NOT errors MATCHES "ends within frame 1 \\(3 of 9216 bytes\\)")
  message(FATAL_ERROR "score_nv12 took a cut-off stream: ${status} ${errors}")
endif()

file(WRITE "${work}/picture.ppm" "P6\n64 48\n255\n${frame}")
execute_process(COMMAND "${examples}/score_ppm" "${model}" "${work}/picture.ppm"
                OUTPUT_VARIABLE line ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT line MATCHES "picture.ppm [0-9.]+ blur=[0-9.]+ noise=[0-9.]+")
  message(FATAL_ERROR "score_ppm ended with ${status}: ${line}${errors}")
endif()

execute_process(COMMAND "${examples}/worst_case" "${model}" 96 64 1 20
                OUTPUT_VARIABLE lines ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT lines MATCHES "96x64 NV12, 20 frames.*frame, p99, ms +([0-9.]+).*longest, ms +([0-9.]+).*at most, MB +[0-9.]+"
   OR CMAKE_MATCH_1 GREATER CMAKE_MATCH_2)
  message(FATAL_ERROR "worst_case ended with ${status}: ${lines}${errors}")
endif()

run("${work}/static-ON/score_ppm" "${model}" "${work}/picture.ppm")

find_program(PKG_CONFIG pkg-config)
if(PKG_CONFIG)
  file(GLOB_RECURSE pc "${work}/prefix/*/dpiqa.pc")
  get_filename_component(folder "${pc}" DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} "${folder}")
  execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs "dpiqa >= 0.1" OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags} ${FLAGS}")
  get_filename_component(libraries "${folder}" DIRECTORY)
  run("${CC}" "${SOURCE}/examples/score_nv12.c" -o "${work}/by_pkg_config" ${flags} "-Wl,-rpath,${libraries}")
  execute_process(COMMAND "${work}/by_pkg_config" "${model}" 96 64 INPUT_FILE "${work}/frames.nv12" OUTPUT_VARIABLE again
                  ERROR_VARIABLE errors)
  string(REGEX MATCHALL "\"index\":[01],\"score\":[0-9]+\\.[0-9]+" found "${again}")
  if(NOT found STREQUAL scores)
    message(FATAL_ERROR "the program built with pkg-config gave '${found}' instead of '${scores}': ${errors}")
  endif()
endif()
