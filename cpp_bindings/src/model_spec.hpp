// The model contract, as runtime/spec.py defines it: what every model file says about itself.
#pragma once

#include <string>
#include <vector>

namespace dpiqa::core {

constexpr int kMinModelSide = 32, kMaxModelSide = 4096;  // of a model's input, in pixels

inline std::string model_size_error(int width, int height) {
    return "preprocess: the model's size must be " + std::to_string(kMinModelSide) + " to " +
           std::to_string(kMaxModelSide) + " pixels a side, found " + std::to_string(width) + "x" + std::to_string(height);
}

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
