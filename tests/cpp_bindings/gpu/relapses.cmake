# Faults that this code once had, or that its rules forbid, put back one at a time: each must fail the test that guards it.
function(relapse name file sound faulty guard)
  set(_copy "${CMAKE_CURRENT_BINARY_DIR}/relapses/${name}.cpp")
  file(READ "${_core}/${file}" _text)
  string(FIND "${_text}" "${sound}" _place)
  if(_place EQUAL -1)
    message(FATAL_ERROR "relapse '${name}': ${file} no longer has \"${sound}\"")
  endif()
  string(REPLACE "${sound}" "${faulty}" _text "${_text}")
  file(CONFIGURE OUTPUT "${_copy}" CONTENT "${_text}" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_core}/${file}")
  get_filename_component(_source "${file}" NAME)
  string(REPLACE "." "\\." _source "/${_source}")
  set(_program dpiqa_relapse_${name})
  add_executable(${_program} "${_copy}" $<FILTER:$<TARGET_OBJECTS:dpiqa_gpu_objects>,EXCLUDE,${_source}>
    $<FILTER:${_objects},EXCLUDE,${_source}>)
  target_link_libraries(${_program} PRIVATE dpiqa_gpu_code)
  target_compile_options(${_program} PRIVATE -w)  # a fault may leave a parameter unused
  add_test(NAME ${_program} COMMAND ${CMAKE_COMMAND} -E env $<TARGET_FILE:${_program}> "--test-case=${guard}")
  set_tests_properties(${_program} PROPERTIES PASS_REGULAR_EXPRESSION "Status: FAILURE|ERROR:.*test case CRASHED")
endfunction()

relapse(version_in_thousands src/manifest.cpp "number >= 10000 ? 10000 : 1000" "1000"
  "every generation scores every golden vector*")
relapse(plain_engine_on_lean_runtime src/manifest.cpp "library.is_lean && !manifest.is_version_compatible" "false"
  "the lean runtime is asked for nothing that ends the process")
relapse(driver_not_asked_first tensorrt/tensorrt_engine.cpp "status != cudaSuccess || count == 0" "false"
  "the lean runtime is asked for nothing that ends the process")
relapse(one_profile_for_two_contexts tensorrt/tensorrt_engine.cpp "!shares_profiles(library, manifest_)" "false"
  "TensorRT 8.6 gives a profile to one context only*")
relapse(graphs_of_rtx_by_hand tensorrt/tensorrt_engine.cpp "!records_graphs(library)" "true"
  "graphs are recorded by hand*")
relapse(late_tables cuda/gpu_preprocessor.cpp
  "cudaMemcpyAsync(buffer.get(), values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice, stream)"
  "cudaMemcpy(buffer.get(), values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice)"
  "every generation scores every golden vector*")
relapse(frame_not_pinned cuda/gpu_preprocessor.cpp "attributes_of(plane.data).type == cudaMemoryTypeUnregistered" "false"
  "frames in pageable memory reach the GPU through pinned memory")
relapse(frame_not_awaited cuda/gpu_preprocessor.cpp "await(frame, stream)" "static_cast<void>(frame)"
  "a device frame is scored after the stream or the event that writes it")
relapse(batch_of_another tensorrt/lane.cpp "static_cast<std::size_t>(row) * output.count, output.count" "0, output.count"
  "the frames of one call run in batches")
