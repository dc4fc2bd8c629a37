// Errors inside the core; the C API turns them into a code and a sentence.
#pragma once

#include <stdexcept>
#include <string>

#include "dpiqa/dpiqa.h"

namespace dpiqa::core {

class Failure : public std::runtime_error {
  public:
    Failure(dpiqa_status code, const std::string& sentence) : std::runtime_error(sentence), status(code) {}
    const dpiqa_status status;
};

struct InputError : Failure {
    explicit InputError(const std::string& sentence) : Failure(DPIQA_ERROR_INPUT, sentence) {}
};

struct ContractError : Failure {
    explicit ContractError(const std::string& sentence) : Failure(DPIQA_ERROR_CONTRACT, sentence) {}
};

struct EngineError : Failure {
    explicit EngineError(const std::string& sentence) : Failure(DPIQA_ERROR_ENGINE, sentence) {}
};

}  // namespace dpiqa::core
