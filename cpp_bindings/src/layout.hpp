// Where the samples of each channel lie in a plane's row: what the CPU's and the GPU's preprocessing agree on.
#pragma once

#include "dpiqa/dpiqa.h"

namespace dpiqa::core {

struct Layout {
    int target;       // 0, 1, 2: R, G, B or Y, U, V
    int offset;       // of the first sample, in bytes
    int stride;       // from one sample to the next
    int subsampling;  // pixels for one sample, along the row
    int bytes = 1;    // of a sample, the low one first
};

// Those of one plane.
struct Layouts {
    Layout channels[3];
    int count;

    const Layout* begin() const { return channels; }
    const Layout* end() const { return channels + count; }
};

inline Layouts layout_of(int format, int plane) {
    switch (format) {
        case DPIQA_BGR: return {{{0, 2, 3, 1}, {1, 1, 3, 1}, {2, 0, 3, 1}}, 3};
        case DPIQA_RGB: return {{{0, 0, 3, 1}, {1, 1, 3, 1}, {2, 2, 3, 1}}, 3};
        case DPIQA_RGBA: return {{{0, 0, 4, 1}, {1, 1, 4, 1}, {2, 2, 4, 1}}, 3};
        case DPIQA_YUYV: return {{{0, 0, 2, 1}, {1, 1, 4, 2}, {2, 3, 4, 2}}, 3};
        case DPIQA_UYVY: return {{{0, 1, 2, 1}, {1, 0, 4, 2}, {2, 2, 4, 2}}, 3};
        case DPIQA_P010:
            if (plane == 1) return {{{1, 0, 4, 2, 2}, {2, 2, 4, 2, 2}}, 2};
            return {{{0, 0, 2, 1, 2}}, 1};
        case DPIQA_NV12:
            if (plane == 1) return {{{1, 0, 2, 2}, {2, 1, 2, 2}}, 2};
            break;
        case DPIQA_I420:
            if (plane > 0) return {{{plane, 0, 1, 2}}, 1};
            break;
        default: break;
    }
    return {{{0, 0, 1, 1}}, 1};
}

// Pixels for one sample, from row to row: only planes after the first have fewer rows.
inline int row_subsampling(int plane) { return plane > 0 ? 2 : 1; }

}  // namespace dpiqa::core
