// The manifest `x.engine.json` beside a TensorRT engine `x.engine`: what it was built from, with, and for.
#pragma once

#include <string>
#include <vector>

#include "model_spec.hpp"

namespace dpiqa::core {

struct Manifest {
    std::string onnx_sha256;
    std::string flavour;           // "tensorrt" or "tensorrt-rtx"
    std::string tensorrt_version;  // "10.9.0"
    std::string precision;
    std::vector<std::string> compute_capabilities;  // "8.6"; any GPU where empty
    std::string rebuild;                            // the command that builds it anew
    ModelSpec spec;
};

// The machine that an engine is about to run on.
struct Machine {
    std::string flavour, tensorrt_version, gpu, compute_capability;
};

// Throws ContractError that names the file and the field.
Manifest parse_manifest(const std::string& document, const std::string& file);

// Reads `engine_file`.json. Throws EngineError when it is absent, else ContractError.
Manifest read_manifest(const std::string& engine_file);

// Throws EngineError: built for what, found what, and the command to rebuild.
void check_machine(const Manifest& manifest, const Machine& machine, const std::string& engine_file);

}  // namespace dpiqa::core
