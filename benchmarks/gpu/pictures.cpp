#include "pictures.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "frame.hpp"

using namespace dpiqa::core;

dpiqa_frame Picture::frame() const { return make_frame(format, colour, width, height, pixels.data(), pixels.size(), 0); }

const char* memory_name(Memory memory) {
    switch (memory) {
        case Memory::kPageable: return "pageable";
        case Memory::kPinned: return "pinned";
        default: return "device";
    }
}

const char* format_name(int format) {
    constexpr const char* kNames[] = {"?", "BGR", "RGB", "GRAY", "NV12", "I420", "YUYV", "UYVY", "RGBA", "P010"};
    return kNames[format];
}

Picture from_golden(const Golden& golden) {
    return {golden.format, golden.colour, golden.width, golden.height, golden.pixels};
}

Picture random_picture(int format, int colour, int width, int height, unsigned seed) {
    const FormatShape shape = shape_of(format, width, height);
    std::size_t size = 0;
    for (const PlaneShape& plane : shape.plane) size += plane.row_bytes * plane.rows;
    Picture picture{format, is_yuv(format) ? colour : DPIQA_COLOUR_NONE, width, height, Bytes(size)};
    std::mt19937_64 generator(seed);
    for (std::size_t begin = 0; begin < size;) {
        const std::uint64_t draw = generator();
        const std::size_t end = std::min(size, begin + 1 + draw % 3000);
        if (draw >> 63 != 0) {
            std::fill(&picture.pixels[begin], picture.pixels.data() + end, static_cast<std::uint8_t>(draw >> 32));
        } else {
            for (std::size_t i = begin; i < end; i += 8) {
                const std::uint64_t noise = generator();
                std::memcpy(&picture.pixels[i], &noise, std::min(sizeof noise, end - i));
            }
        }
        begin = end;
    }
    return picture;
}

Placed::Placed(const Picture& picture, Memory memory, std::size_t gap) {
    const FormatShape shape = shape_of(picture.format, picture.width, picture.height);
    const dpiqa_frame tight = picture.frame();
    std::size_t size = 0;
    for (const PlaneShape& plane : shape.plane) size += (plane.row_bytes + gap) * plane.rows;
    pageable_.assign(size, 0xA5);
    std::uint8_t* base = pageable_.data();
    if (memory == Memory::kDevice) {
        device_ = device_buffer<std::uint8_t>(size);
        base = device_.get();
    } else if (memory == Memory::kPinned) {
        pinned_ = pinned_buffer<std::uint8_t>(size);
        base = pinned_.get();
    }
    frame_ = tight;
    frame_.memory = memory == Memory::kDevice ? DPIQA_DEVICE : DPIQA_HOST;
    std::size_t offset = 0;
    for (int i = 0; i < shape.planes; ++i) {
        const std::size_t row_bytes = shape.plane[i].row_bytes, rows = shape.plane[i].rows, pitch = row_bytes + gap;
        const auto* source = static_cast<const std::uint8_t*>(tight.planes[i].data);
        for (std::size_t row = 0; row < rows; ++row)
            std::memcpy(&pageable_[offset + row * pitch], source + row * row_bytes, row_bytes);
        frame_.planes[i] = {base + offset, pitch * rows, pitch};
        offset += pitch * rows;
    }
    check_frame(frame_);
    if (memory == Memory::kPageable) return;
    cuda_check(cudaMemcpy(base, pageable_.data(), size, cudaMemcpyDefault), "cudaMemcpy");
    cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");  // streams do not wait for the copy's last bytes
    Bytes().swap(pageable_);
}
