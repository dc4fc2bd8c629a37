// The digest of an ONNX file's weights, as its contract states it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dpiqa::core {

// SHA-256 over the graph's initializers in name order: each name, then its little-endian values. Throws EngineError when
// the bytes are not an ONNX model, or when weights lie in another file; `file` names it.
std::string onnx_weights_sha256(const std::uint8_t* data, std::size_t size, const std::string& file);

// Throws ContractError when the file's contract states another digest, or has none.
void check_onnx_weights(const std::string& file);

}  // namespace dpiqa::core
