// The fault that the core had: is what cudaMemcpy brings from pageable memory there when a kernel on a non-blocking
// stream looks? CUDA does not promise it. A copy on the kernel's own stream must be there always.
#include <chrono>
#include <memory>
#include <vector>

#include "busy_copy_engine.hpp"
#include "memory.hpp"
#include "report.hpp"
#include "sections.hpp"

using namespace dpiqa::core;

namespace {

__global__ void count_stale(const int* values, int count, int expected, unsigned* stale) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count && values[i] != expected) atomicAdd(stale, 1U);
}

struct Found {
    int rounds = 0, late = 0;
};

Found look(bool on_stream, int count, int most, std::chrono::milliseconds limit) {
    const Stream stream = make_stream();
    const auto values = device_buffer<int>(static_cast<std::size_t>(count));
    const auto stale = device_buffer<unsigned>(1);
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(int);
    std::vector<int> source(static_cast<std::size_t>(count));
    Found found;
    const auto end = std::chrono::steady_clock::now() + limit;
    for (int round = 1; round <= most && std::chrono::steady_clock::now() < end; ++round) {
        source.assign(source.size(), round);
        cuda_check(cudaMemsetAsync(stale.get(), 0, sizeof(unsigned), stream.get()), "cudaMemsetAsync");
        if (on_stream)
            cuda_check(cudaMemcpyAsync(values.get(), source.data(), bytes, cudaMemcpyHostToDevice, stream.get()), "cudaMemcpyAsync");
        else
            cuda_check(cudaMemcpy(values.get(), source.data(), bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
        count_stale<<<(count + 255) / 256, 256, 0, stream.get()>>>(values.get(), count, round, stale.get());
        cuda_check(cudaGetLastError(), "count_stale");
        unsigned seen = 0;
        cuda_check(cudaMemcpyAsync(&seen, stale.get(), sizeof seen, cudaMemcpyDeviceToHost, stream.get()), "cudaMemcpyAsync");
        cuda_check(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
        cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");  // the late copy must not be taken for the next one
        found.late += seen > 0;
        ++found.rounds;
    }
    return found;
}

bool report(const Found& found, bool on_stream, int count, bool busy) {
    const bool passed = !on_stream || found.late == 0;  // the old way is looked at, not asked for
    Line("late_copy")
        .text("way", on_stream ? "on the stream" : "cudaMemcpy, as before")
        .text("copy_engine", busy ? "busy" : "idle")
        .number("bytes", count * static_cast<int>(sizeof(int)))
        .number("rounds", found.rounds)
        .number("late_rounds", found.late)
        .passed(passed);
    return passed;
}

}  // namespace

bool check_late_copy(bool quick) {
    bool ok = true;
    const int most = quick ? 5 : 20000;
    const std::chrono::milliseconds limit(quick ? 20000 : 500);
    for (const bool busy : {false, true}) {
        const auto hog = busy ? std::make_unique<BusyCopyEngine>() : nullptr;
        for (const int count : {2048, 100000})
            for (const bool on_stream : {false, true}) ok &= report(look(on_stream, count, most, limit), on_stream, count, busy);
    }
    return ok;
}
