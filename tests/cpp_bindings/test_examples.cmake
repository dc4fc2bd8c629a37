# Installs the library, builds the examples against the installed copy as a user would, and runs them.
# Needs: -DBUILD (the build folder) -DSOURCE (the repository) -DCXX -DCC, and -DFLAGS for sanitizers.
set(work "${BUILD}/installed")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN} ended with ${status}:\n${output}")
  endif()
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/prefix")
run("${CMAKE_COMMAND}" -S "${SOURCE}/examples" -B "${work}/build" "-DCMAKE_PREFIX_PATH=${work}/prefix"
    "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_C_FLAGS=${FLAGS}" "-DCMAKE_CXX_FLAGS=${FLAGS}")
run("${CMAKE_COMMAND}" --build "${work}/build")

set(model "${SOURCE}/tests/cpp_bindings/data/tiny.onnx")
string(REPEAT "0123456789abcdef" 576 frame)  # 96x64 NV12 is 9216 bytes
file(WRITE "${work}/frames.nv12" "${frame}${frame}")
execute_process(COMMAND "${work}/build/score_nv12" "${model}" 96 64 INPUT_FILE "${work}/frames.nv12"
                OUTPUT_VARIABLE lines ERROR_VARIABLE errors RESULT_VARIABLE status)
string(REGEX MATCHALL "\"index\":[01],\"score\":[0-9]+\\.[0-9]+" scores "${lines}")
list(LENGTH scores count)
if(NOT status EQUAL 0 OR NOT count EQUAL 2)
  message(FATAL_ERROR "score_nv12 ended with ${status}: ${lines}${errors}")
endif()

file(WRITE "${work}/cut.nv12" "${frame}abc")
execute_process(COMMAND "${work}/build/score_nv12" "${model}" 96 64 INPUT_FILE "${work}/cut.nv12"
                OUTPUT_QUIET ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 2 OR NOT errors MATCHES "ends within frame 1 \\(3 of 9216 bytes\\)")
  message(FATAL_ERROR "score_nv12 took a cut-off stream: ${status} ${errors}")
endif()

file(WRITE "${work}/picture.ppm" "P6\n64 48\n255\n${frame}")
execute_process(COMMAND "${work}/build/score_ppm" "${model}" "${work}/picture.ppm"
                OUTPUT_VARIABLE line ERROR_VARIABLE errors RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT line MATCHES "picture.ppm [0-9.]+ blur=[0-9.]+ noise=[0-9.]+")
  message(FATAL_ERROR "score_ppm ended with ${status}: ${line}${errors}")
endif()

find_program(PKG_CONFIG pkg-config)
if(PKG_CONFIG)
  file(GLOB_RECURSE pc "${work}/prefix/*/dpiqa.pc")
  get_filename_component(folder "${pc}" DIRECTORY)
  run("${CMAKE_COMMAND}" -E env "PKG_CONFIG_PATH=${folder}" "${PKG_CONFIG}" --exists --print-errors "dpiqa >= 0.1")
endif()
