// Reads the metadata of an ONNX file without its weights: the protobuf wire format, as far as that needs it.
#pragma once

#include <cstddef>
#include <istream>
#include <optional>
#include <string>

namespace dpiqa::core {

constexpr std::size_t kMaxDocumentBytes = std::size_t{1} << 20;

// The value under `key` in ModelProto.metadata_props, or nothing when the model has no such entry. `stream` must be
// seekable; `file` names it in errors. Throws EngineError when the bytes are not an ONNX model.
std::optional<std::string> read_onnx_metadata(std::istream& stream, const std::string& key, const std::string& file);

}  // namespace dpiqa::core
