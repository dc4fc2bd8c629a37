#include "kernels_loops.hpp"

namespace dpiqa::core {
namespace {

void blend(const std::uint8_t* const* rows, const std::int16_t* weights, int count, std::size_t bytes,
           std::int16_t* out) {
    blend_loop(rows, weights, count, 0, bytes, out);
}

void pack(const std::int16_t* r, const std::int16_t* g, const std::int16_t* b, int count, std::uint8_t* rgb) {
    pack_loop(r, g, b, 0, count, rgb);
}

}  // namespace

const Kernels& portable_kernels() {
    static constexpr Kernels kernels{"portable", blend, reduce_loop, to_rgb_loop, pack};
    return kernels;
}

const Kernels& best_kernels() {
    static const Kernels* const best = []() -> const Kernels* {
        if (const Kernels* neon = neon_kernels()) return neon;
#if defined(__x86_64__)
        if (const Kernels* avx2 = avx2_kernels(); avx2 != nullptr && __builtin_cpu_supports("avx2")) return avx2;
#endif
        return &portable_kernels();
    }();
    return *best;
}

}  // namespace dpiqa::core
