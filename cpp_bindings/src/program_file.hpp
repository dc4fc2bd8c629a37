// A `.pte` file: an ExecuTorch program with its manifest, as export/xnnpack/program.py writes it.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "model_bytes.hpp"
#include "model_spec.hpp"

namespace dpiqa::core {

struct ProgramFile {
    std::size_t program_size = 0;  // the program lies at the file's start
    std::array<float, 3> mean{}, std{};
    std::vector<std::string> outputs;  // "score", "causes", "map", in the program's order
    ModelSpec spec;
};

// Throws EngineError when the bytes are no such file, ContractError when the digest does not match them (only with
// `verify`) or the manifest is out of range.
ProgramFile read_program_file(const ModelBytes& bytes, bool verify);

}  // namespace dpiqa::core
