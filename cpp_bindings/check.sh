#!/usr/bin/env bash
# Builds and checks the native core: tests, address and undefined-behaviour sanitizers, thread sanitizer, fuzzing, CUDA.
# usage: cpp_bindings/check.sh [--full] [BUILD_FOLDER]
# --full fuzzes for ten minutes a target instead of ten seconds, and runs everything again on 64-bit Arm under qemu.
# needs: cmake, ninja, a C++17 compiler, doctest, and a Python with openvino and nlohmann-json; clang with its runtime for
# the sanitizers; g++-arm-linux-gnueabihf and zig to build the core for 32-bit Arm and for musl; nvcc for CUDA;
# TENSORRT_INCLUDE_DIR for the side of the real TensorRT. A check whose tools are missing is left out, and said to be at the
# end.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
fuzz_seconds=10
if [ "${1:-}" = --full ]; then fuzz_seconds=600; shift; fi
full=$([ "$fuzz_seconds" = 600 ] && echo yes || echo no)
build=${1:-$root/build}
left_out=()

find_tool() {
    for name in "$@"; do command -v "$name" && return; done
    return 1
}

configure() { # folder, options
    local folder=$1
    shift
    cmake -S "$root" -B "$folder" -G Ninja -DDPIQA_WERROR=ON -DDPIQA_WITH_TENSORRT=OFF "$@" > "$folder.log" 2>&1 ||
        { cat "$folder.log" >&2; return 1; }
}

tests() {
    configure "$build/core" -DDPIQA_BUILD_TESTS=ON
    cmake --build "$build/core"
    ctest --test-dir "$build/core" --output-on-failure
}

sanitized() { # name, sanitizers, more targets, options
    local name=$1 kind=$2 targets=$3
    shift 3
    configure "$build/$name" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDPIQA_SANITIZE="$kind" -DDPIQA_BUILD_TESTS=ON \
        -DCMAKE_C_COMPILER="$clang" -DCMAKE_CXX_COMPILER="$clangxx" "$@"
    cmake --build "$build/$name" --target dpiqa_tests dpiqa_gpu_tests $targets
    "$build/$name/tests/cpp_bindings/dpiqa_gpu_tests"
    # OpenVINO and TBB are not instrumented: their own synchronisation cannot be seen, nor what they free at exit.
    TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$root/tests/cpp_bindings/tsan.supp" \
        ASAN_OPTIONS=detect_leaks=0 "$build/$name/tests/cpp_bindings/dpiqa_tests"
}

fuzzed() {
    for target in frame contract manifest program; do
        mkdir -p "$build/corpus/$target"
        cp "$root"/tests/cpp_bindings/data/tiny.* "$build/corpus/$target"
        ASAN_OPTIONS=detect_leaks=0 "$build/address/tests/cpp_bindings/fuzz_$target" -max_total_time="$fuzz_seconds" \
            -max_len=2097152 -verbosity=0 -print_final_stats=1 -artifact_prefix="$build/" "$build/corpus/$target"
    done
}

ported() { # name, options: the core without an engine, where only the engine is missing
    local name=$1
    shift
    configure "$build/$name" -DDPIQA_WITH_OPENVINO=OFF -DDPIQA_WITH_EXECUTORCH=OFF -DDPIQA_WITHOUT_ENGINE=ON "$@"
    cmake --build "$build/$name" --target dpiqa
}

musl() { # musl-tools alone has no C++ library
    for language in cc c++; do
        printf '#!/bin/sh\nexec zig %s -target x86_64-linux-musl "$@"\n' "$language" > "$build/musl-$language"
        chmod +x "$build/musl-$language"
    done
    ported musl -DCMAKE_C_COMPILER="$build/musl-cc" -DCMAKE_CXX_COMPILER="$build/musl-c++"
}

cuda() { # compiles only: benchmarks/gpu_proof.sh runs it where there is a GPU
    cmake -S "$root/benchmarks/gpu" -B "$build/gpu" -G Ninja -DCMAKE_CUDA_COMPILER="$nvcc" \
        -DCMAKE_CUDA_ARCHITECTURES="75;90" > "$build/gpu.log" 2>&1 || { cat "$build/gpu.log" >&2; return 1; }
    cmake --build "$build/gpu"
}

mkdir -p "$build"
tests
if clang=$(find_tool clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14) && clangxx=$(command -v "${clang/clang/clang++}"); then
    sanitized address address,undefined "fuzz_frame fuzz_contract fuzz_manifest fuzz_program" -DDPIQA_BUILD_FUZZERS=ON
    fuzzed
    sanitized thread thread ""
else
    left_out+=("sanitizers and fuzzing (no clang)")
fi
if find_tool arm-linux-gnueabihf-g++ > /dev/null; then
    ported arm32 -DCMAKE_TOOLCHAIN_FILE="$root/cmake/arm-linux-gnueabihf.cmake"
else
    left_out+=("the core on 32-bit Arm (no g++-arm-linux-gnueabihf)")
fi
if find_tool zig > /dev/null; then musl; else left_out+=("the core with musl (no zig)"); fi
if nvcc=$(find_tool nvcc /usr/local/cuda/bin/nvcc); then cuda; else left_out+=("the CUDA preprocessing (no nvcc)"); fi
if [ -n "${TENSORRT_INCLUDE_DIR:-}" ]; then
    "$root/cpp_bindings/compile_tensorrt.sh" "$TENSORRT_INCLUDE_DIR"
else
    left_out+=("the side of the real TensorRT (no TENSORRT_INCLUDE_DIR)")
fi
if [ "$full" = yes ]; then "$root/cpp_bindings/run_aarch64.sh" "$build/aarch64"; fi
for what in ${left_out[@]+"${left_out[@]}"}; do echo "left out: $what"; done
