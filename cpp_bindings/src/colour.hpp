// The four YUV colours as integer matrices.
#pragma once

#include <cmath>

#include "dpiqa/dpiqa.h"
#include "kernels.hpp"

namespace dpiqa::core {

inline ColourMatrix colour_matrix(int colour, int format) {
    const bool is_601 = colour == DPIQA_BT601_LIMITED || colour == DPIQA_BT601_FULL;
    const bool is_limited = colour == DPIQA_BT601_LIMITED || colour == DPIQA_BT709_LIMITED;
    const double red = is_601 ? 0.299 : 0.2126, blue = is_601 ? 0.114 : 0.0722, green = 1 - red - blue;
    const double full = format == DPIQA_P010 ? 4 * 255.0 / 1023 : 1;  // white is 1023 there, not 4 * 255
    const double luma = is_limited ? 255.0 / 219 : full, chroma = is_limited ? 255.0 / 224 : full;
    const auto fixed = [](double factor) { return static_cast<std::int32_t>(std::lround(factor * (1 << 13))); };
    return {is_limited ? 16 << 7 : 0,
            fixed(luma),
            fixed(2 * (1 - red) * chroma),
            fixed(2 * (1 - blue) * blue / green * chroma),
            fixed(2 * (1 - red) * red / green * chroma),
            fixed(2 * (1 - blue) * chroma)};
}

}  // namespace dpiqa::core
