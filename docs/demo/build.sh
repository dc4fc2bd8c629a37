#!/usr/bin/env bash
# Puts the page, the model and onnxruntime-web into one folder that any static server can serve:
#
#   bash docs/demo/build.sh OUT && python3 -m http.server --directory OUT
#
# The folder is also a static Space of Hugging Face's hub.
# needs: npm
set -euo pipefail
if [ $# -ne 1 ]; then sed -n 's/^#   //p' "$0" >&2 && exit 2; fi
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent onnxruntime-web@1.23.2 > /dev/null && tar xzf onnxruntime-web-*.tgz)
mkdir -p "$1/vendor"
cp "$here"/README.md "$here"/*.html "$here"/*.css "$here"/*.js "$here/../../models/dpiqa-lite0-int8.onnx" "$1"
for file in dist/ort.wasm.min.mjs dist/ort-wasm-simd-threaded.mjs dist/ort-wasm-simd-threaded.wasm; do
    cp "$work/package/$file" "$1/vendor"
done
echo "$1: $(du -sm "$1" | cut -f1) MB"
