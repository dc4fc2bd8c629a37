// The inner loops of preprocessing. All implementations give the same bits; samples between the steps are fixed point
// with 7 fractional bits (255 is 32640), which fits a signed 16-bit multiply.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dpiqa::core {

// YUV to RGB: r = luma * (y - y_offset) + v_red * v and so on, u and v around zero, factors with 13 fractional bits.
struct ColourMatrix {
    std::int32_t y_offset, luma, v_red, u_green, v_green, u_blue;
};

struct Kernels {
    const char* name;

    // out[i] = sum of rows[k][i] * weights[k], over an even number of rows.
    void (*blend)(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t bytes,
                  std::int16_t* out);

    // out[i] = sum of row[first[i] + k] * weights[i * lanes + k]; `targets` is a multiple of 8, `lanes` of 16.
    void (*reduce)(const std::int16_t* row, const std::int32_t* first, const std::int16_t* weights, int lanes, int targets,
                   std::int16_t* out);

    // In place: y, u, v become r, g, b.
    void (*to_rgb)(std::int16_t* y, std::int16_t* u, std::int16_t* v, int count, const ColourMatrix& matrix);

    // Round to 8 bits and interleave.
    void (*pack)(const std::int16_t* r, const std::int16_t* g, const std::int16_t* b, int count, std::uint8_t* rgb);
};

const Kernels& portable_kernels();
const Kernels* avx2_kernels();  // nullptr where the library was not built for such a CPU
const Kernels* neon_kernels();

// The fastest that this CPU can run.
const Kernels& best_kernels();

}  // namespace dpiqa::core
