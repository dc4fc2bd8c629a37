// The two kernels as work for the stub CUDA runtime.
#include "../fake_network.hpp"
#include "preprocess_pixel.hpp"
#include "stub_cuda.hpp"

namespace dpiqa::core {

cudaError_t launch_preprocess(const DeviceFrame& frame, int width, int height, std::uint8_t* rgb, cudaStream_t stream) {
    return stub::launch(stream, [=] {
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) preprocess_pixel(frame, x, y, width, rgb);
    });
}

}  // namespace dpiqa::core

cudaError_t launch_fake_network(const FakeNetwork& network, int count, cudaStream_t stream) {
    return stub::launch(stream, [=] {
        for (int row = 0; row < count; ++row) run_fake_network(network, row);
    });
}
