// What this CPU can do that engines depend on.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#endif

namespace dpiqa::core {

#if defined(__x86_64__)
// oneDNN, which multiplies for OpenVINO, can be told to use less than the CPU has.
inline bool may_use_vnni() {
    const std::array<std::string, 4> without{"SSE41", "AVX", "AVX2", "AVX512_CORE"};
    for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
        const char* limit = std::getenv(name);
        if (limit != nullptr && std::find(without.begin(), without.end(), limit) != without.end()) return false;
    }
    return true;
}
#endif

// x86 CPUs without VNNI add two products of INT8 in 16 bits, which may saturate: scores would be wrong by 6 points on average.
inline bool has_exact_int8() {
#if defined(__x86_64__)
    if (!may_use_vnni()) return false;
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool avx512_vnni = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & (1U << 11)) != 0;
    const bool avx_vnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
    return avx512_vnni || avx_vnni;
#else
    return true;
#endif
}

}  // namespace dpiqa::core
