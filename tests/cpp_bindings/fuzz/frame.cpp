// Any descriptor over a buffer of known size: preprocessed and measured within its bounds, or refused.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "dpiqa/dpiqa.h"

namespace {

struct Input {
    std::int32_t format, colour, width, height, planes_apart, target_width, target_height;
    std::uint32_t size, pitch, plane_size[3], plane_pitch[3];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    Input input;
    if (size < sizeof input) return 0;
    std::memcpy(&input, data, sizeof input);
    const std::size_t room = input.size % (1U << 20);
    // Exact heap blocks, so that the address sanitizer sees every byte read past the stated size.
    const std::unique_ptr<std::uint8_t[]> pixels(new std::uint8_t[room]());
    std::unique_ptr<std::uint8_t[]> planes[3];
    dpiqa_frame frame;
    int status = dpiqa_frame_init(&frame, input.format, input.colour, input.width, input.height, pixels.get(), room, input.pitch);
    if (input.planes_apart & 1) {
        status = DPIQA_OK;
        frame = {};
        frame.format = input.format;
        frame.colour = input.colour;
        frame.width = input.width;
        frame.height = input.height;
        for (int i = 0; i < 3; ++i) {
            const std::size_t bytes = input.plane_size[i] % (1U << 20);
            planes[i].reset(new std::uint8_t[bytes]());
            frame.planes[i] = {planes[i].get(), bytes, input.plane_pitch[i]};
        }
    }
    if (status != DPIQA_OK) return 0;
    static dpiqa_meter* const meter = [] {
        dpiqa_meter* opened = nullptr;
        dpiqa_meter_open(&opened);
        return opened;
    }();
    dpiqa_signals signals;
    dpiqa_measure(meter, &frame, &signals);
    const int width = 32 + (input.target_width & 127), height = 32 + (input.target_height & 127);
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(width * height * 3));
    dpiqa_preprocess(&frame, width, height, rgb.data(), rgb.size());
    return 0;
}
