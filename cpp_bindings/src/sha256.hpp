// SHA-256 (FIPS 180-4), to tell a damaged or changed model file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace dpiqa::core {

class Sha256 {
  public:
    void add(const void* data, std::size_t size);
    std::array<std::uint8_t, 32> digest();  // ends it

  private:
    void block(const std::uint8_t* data);

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::uint8_t, 64> rest_{};
    std::uint64_t size_ = 0;
};

// 64 lower-case hexadecimal digits.
std::string hexadecimal(const std::array<std::uint8_t, 32>& digest);

// The digest of a file's bytes, in hexadecimal digits.
std::string sha256(const std::string& bytes);

}  // namespace dpiqa::core
