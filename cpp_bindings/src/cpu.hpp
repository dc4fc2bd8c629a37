// What this CPU can do that engines depend on.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace dpiqa::core {

// x86 CPUs without VNNI multiply INT8 through 16-bit sums that saturate: scores would be wrong, by 8 points on average.
inline bool has_exact_int8() {
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool avx512_vnni = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & (1U << 11)) != 0;
    const bool avx_vnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
    return avx512_vnni || avx_vnni;
#else
    return true;
#endif
}

}  // namespace dpiqa::core
