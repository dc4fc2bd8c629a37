// usage: gpu_preprocess [--quick]. One JSON object a line; ends with 0 if all holds, 1 if not, 77 without a GPU.
#include <cstring>
#include <exception>
#include <functional>

#include "memory.hpp"
#include "report.hpp"
#include "sections.hpp"

using namespace dpiqa::core;

namespace {

bool describe_device() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
        Line("device").text("left_out", std::string("no GPU: ") + cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status));
        return false;
    }
    cudaDeviceProp gpu{};
    int driver = 0, runtime = 0;
    cuda_check(cudaGetDeviceProperties(&gpu, 0), "cudaGetDeviceProperties");
    cuda_check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    cuda_check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    const auto version = [](int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); };
    Line("device")
        .text("gpu", gpu.name)
        .text("compute_capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor))
        .number("memory_gib", static_cast<double>(gpu.totalGlobalMem) / (1 << 30))
        .text("driver_cuda", version(driver))
        .text("runtime_cuda", version(runtime));
    return true;
}

bool guarded(const char* section, const std::function<bool()>& check) {
    try {
        return check();
    } catch (const std::exception& error) {
        Line(section).text("error", error.what()).passed(false);
        return false;
    }
}

}  // namespace

int main(int count, char** arguments) {
    const bool quick = count > 1 && std::strcmp(arguments[1], "--quick") == 0;
    bool has_gpu = false;
    if (!guarded("device", [&] { return (has_gpu = describe_device()), true; })) return 1;
    if (!has_gpu) return 77;
    bool ok = guarded("golden", check_golden);
    ok &= guarded("random", [=] { return check_random(quick); });
    ok &= guarded("late_copy", [=] { return check_late_copy(quick); });
    ok &= guarded("two_streams", [=] { return check_streams(quick); });
    if (!quick)
        ok &= guarded("latency", [] {
            measure_latency();
            return true;
        });
    return ok ? 0 : 1;
}
