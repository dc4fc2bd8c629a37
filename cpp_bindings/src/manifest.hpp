// The manifest `x.engine.json` beside a TensorRT engine `x.engine`: what it was built from, with, and for.
#pragma once

#include <string>
#include <vector>

#include "model_spec.hpp"

namespace dpiqa::core {

// The batch sizes that an engine takes; it is fastest at `best`.
struct Batches {
    int smallest = 1, best = 1, largest = 1;
};

struct Manifest {
    std::string onnx_sha256, engine_sha256;
    std::string flavour;           // "tensorrt" or "tensorrt-rtx"
    std::string tensorrt_version;  // "10.9.0"
    std::string precision;
    std::vector<std::string> compute_capabilities;  // "8.6"; any GPU where empty
    Batches batches;
    bool is_version_compatible = false;  // the lean runtime loads it, later minor versions included
    bool shares_profiles = false;        // TensorRT 8.6: several execution contexts may use one profile
    std::string rebuild;                 // the command that builds it anew
    ModelSpec spec;
};

// The TensorRT library that is about to run an engine. `number` is what its getInferLibVersion() returns.
struct Library {
    std::string flavour;
    int number = 0;
    bool is_lean = false;
};

struct Gpu {
    std::string name, compute_capability;
};

// "10.9.0" of 100900, "1.7.1" of 10701 (TensorRT-RTX), "8.6.1" of 8601: versions before 10 count in thousands.
std::string version_text(int number);

// Throws ContractError that names the file and the field.
Manifest parse_manifest(const std::string& document, const std::string& file);

// Reads `engine_file`.json. Throws EngineError when it is absent, else ContractError.
Manifest read_manifest(const std::string& engine_file);

// Throw EngineError: built for what, found what, and what to do.
void check_library(const Manifest& manifest, const Library& library, const std::string& engine_file);
void check_gpu(const Manifest& manifest, const Gpu& gpu, const std::string& engine_file);

}  // namespace dpiqa::core
