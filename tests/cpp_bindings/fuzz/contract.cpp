// Any bytes as an ONNX file: a contract, or a refusal.
#include <sstream>

#include "error.hpp"
#include "model_spec.hpp"
#include "onnx_metadata.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace dpiqa::core;
    try {
        std::istringstream stream(std::string(reinterpret_cast<const char*>(data), size));
        if (const auto document = read_onnx_metadata(stream, "dpiqa", "fuzz.onnx")) parse_model_spec(*document, "fuzz.onnx");
    } catch (const Failure&) {
    }
    try {
        parse_model_spec(std::string(reinterpret_cast<const char*>(data), size), "fuzz.onnx");
    } catch (const Failure&) {
    }
    return 0;
}
