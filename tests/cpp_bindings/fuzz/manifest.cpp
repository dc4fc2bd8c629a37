// Any bytes as an engine's manifest: a manifest, or a refusal.
#include "error.hpp"
#include "manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace dpiqa::core;
    try {
        const Manifest manifest = parse_manifest(std::string(reinterpret_cast<const char*>(data), size), "fuzz.engine.json");
        check_library(manifest, {"tensorrt", 100900, false}, "fuzz.engine");
        check_gpu(manifest, {"GPU", "8.6"}, "fuzz.engine");
    } catch (const Failure&) {
    }
    return 0;
}
