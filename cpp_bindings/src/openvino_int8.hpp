// INT8 arithmetic that cannot saturate on CPUs that add two products in 16 bits (x86 without VNNI).
#pragma once

#include <openvino/core/model.hpp>

namespace dpiqa::core {

// Turns quantized activations that are never negative from int8 to uint8 of 0 to 127: the same numbers, whose products
// with weights of 8 bits fit. Returns whether everything fits: what is still signed is shifted to 255 at most, and fits
// with weights from -64 to 64 only.
bool fit_16_bits(ov::Model& model);

}  // namespace dpiqa::core
