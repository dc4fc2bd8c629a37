// The model contract, as runtime/spec.py defines it: what every model file says about itself.
#pragma once

#include <string>
#include <vector>

namespace dpiqa::core {

struct ModelSpec {
    std::string name, version, precision, scale, weights_sha256, licence;
    int height = 0, width = 0;
    float score_minimum = 0, score_maximum = 100;
    std::vector<std::string> causes;
    std::string document;  // the JSON that all of this was read from
};

// Throws ContractError that names the file, the field and what was expected.
ModelSpec parse_model_spec(const std::string& document, const std::string& file);

// Reads the contract out of an ONNX file. Throws EngineError when it is none, else ContractError.
ModelSpec read_model_spec(const std::string& file);

}  // namespace dpiqa::core
