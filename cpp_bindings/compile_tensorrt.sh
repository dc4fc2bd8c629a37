#!/usr/bin/env bash
# Compiles the engine's side of TensorRT (src/engine_tensorrt.cpp), warnings as errors, against headers of several versions.
# usage: cpp_bindings/compile_tensorrt.sh INCLUDE_FOLDER...     each holds an NvInfer.h; nothing is linked or run
# needs: g++ or clang++ (CXX), CUDA's headers (CUDA_HOME, or /usr/local/cuda), nlohmann/json.hpp
# Headers of TensorRT without an account: git clone https://github.com/NVIDIA/TensorRT, then check out v8.6.1, v10.16 or v11.1.
# Last run: 28 November 2026, g++ 12.2 and CUDA 13.0, against TensorRT 8.5.3, 8.6.1, 10.3.0, 10.16.0 and 11.1.0. The lines
# for TensorRT-RTX follow its published reference and were compiled against 11.1 with the reference's declarations added:
# its own headers are in no public repository.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }
core=$(cd "$(dirname "$0")" && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
json=$(python3 -c 'import nlohmann_json as n; print(n.__path__[0] + "/include")' 2> /dev/null || true)  # else the system's
warnings=$(sed -n '/COMPILE_LANGUAGE:CXX>:-Wall/,/>$/p' "$core/../cmake/DpiqaFlags.cmake" | tr -d '\n>' | sed 's/.*CXX:\(-Wall[^$]*\).*/\1/')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for headers in "$@"; do
    cat > "$work/version.cpp" <<< $'#include <NvInferVersion.h>\nNV_TENSORRT_MAJOR.NV_TENSORRT_MINOR.NV_TENSORRT_PATCH'
    version=$("${CXX:-g++}" -E -P -isystem "$headers" "$work/version.cpp" | tail -n 1 | tr -d ' ')
    # shellcheck disable=SC2086
    "${CXX:-g++}" -std=c++17 -fsyntax-only $warnings -Werror -DDPIQA_TENSORRT_FLAVOUR='"tensorrt"' -DDPIQA_TENSORRT_LEAN=0 \
        -I "$core/include" -I "$core/src" -I "$core/cuda" -I "$core/tensorrt" -isystem "$headers" \
        -isystem "$cuda/include" ${json:+-isystem "$json"} "$core/src/engine_tensorrt.cpp"
    echo "TensorRT $version: compiled"
done
