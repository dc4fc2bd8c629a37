# Warnings and sanitizers for every target of this project, and for none of its users.
add_library(dpiqa_flags INTERFACE)
target_compile_features(dpiqa_flags INTERFACE cxx_std_17)
target_compile_options(dpiqa_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
                            -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align>
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes>)
if(DPIQA_WERROR)
  target_compile_options(dpiqa_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(DPIQA_SANITIZE)
  set(_sanitize -fsanitize=${DPIQA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:${_sanitize}>")
  add_link_options(-fsanitize=${DPIQA_SANITIZE})
endif()
if(DPIQA_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
