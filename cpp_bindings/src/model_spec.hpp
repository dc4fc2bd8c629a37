// The model contract, as runtime/spec.py defines it: what every model file says about itself.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace dpiqa::core {

constexpr int kMinModelSide = 32, kMaxModelSide = 4096;  // of a model's input, in pixels

inline std::string model_size_error(int width, int height) {
    return "preprocess: the model's size must be " + std::to_string(kMinModelSide) + " to " +
           std::to_string(kMaxModelSide) + " pixels a side, found " + std::to_string(width) + "x" + std::to_string(height);
}

struct Shape {
    int height = 0, width = 0;
};

// The aspect nearest to a frame's by logarithm, of equally near ones the first; exact for sides up to 16384.
std::size_t nearest_shape(const std::vector<Shape>& shapes, int height, int width);

struct ModelSpec {
    std::string name, version, precision, scale, weights_sha256, licence;
    int height = 0, width = 0;   // of the first shape
    std::vector<Shape> shapes;   // of the input, in order; one in version 1
    float score_minimum = 0, score_maximum = 100;
    std::vector<std::string> causes;
    std::string document;  // the JSON that all of this was read from
};

// Throws ContractError that names the file, the field and what was expected.
ModelSpec parse_model_spec(const std::string& document, const std::string& file);

// Throws ContractError for a contract of several shapes, in a file whose engine runs one.
void require_one_shape(const ModelSpec& spec, const std::string& file);

// Reads the contract out of an ONNX file. Throws EngineError when it is none, else ContractError.
ModelSpec read_model_spec(const std::string& file);

}  // namespace dpiqa::core
