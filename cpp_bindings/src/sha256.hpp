// SHA-256 (FIPS 180-4), for files that name each other by digest.
#pragma once

#include <string>

namespace dpiqa::core {

// 64 lower-case hexadecimal digits.
std::string sha256(const std::string& bytes);

}  // namespace dpiqa::core
