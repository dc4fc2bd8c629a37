// Any bytes as a `.pte` file, and as an ONNX file's weights: from bytes to what an engine is given, or a refusal. The digest
// is not asked for, so that the manifest behind it is reached.
#include "error.hpp"
#include "onnx_weights.hpp"
#include "program_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace dpiqa::core;
    for (const bool verify : {false, true}) {
        try {
            read_program_file(ModelBytes("fuzz.pte", data, size), verify);
        } catch (const Failure&) {
        }
    }
    try {
        onnx_weights_sha256(data, size, "fuzz.onnx");
    } catch (const Failure&) {
    }
    return 0;
}
