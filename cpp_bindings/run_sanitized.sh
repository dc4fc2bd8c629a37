#!/usr/bin/env bash
# Builds the C++ tests under sanitizers and runs them: run_sanitized.sh thread|address,undefined [BUILD_FOLDER]
# needs: clang, doctest-dev, and a Python with openvino and nlohmann-json
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
kind=$1
build=${2:-$root/build/sanitized-${kind%%,*}}

cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDPIQA_SANITIZE="$kind" -DDPIQA_BUILD_TESTS=ON \
    -DDPIQA_WITH_TENSORRT=OFF -DCMAKE_C_COMPILER="${CC:-clang}" -DCMAKE_CXX_COMPILER="${CXX:-clang++}"
cmake --build "$build" --target dpiqa_tests

# OpenVINO and TBB are not instrumented: their own synchronisation cannot be seen, nor what they free at exit.
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$root/tests/cpp_bindings/tsan.supp"
export ASAN_OPTIONS=detect_leaks=0
"$build/tests/cpp_bindings/dpiqa_tests"
