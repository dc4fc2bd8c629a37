// Frames to try: from the golden vectors or made up, in host or device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.h"
#include "golden.hpp"
#include "memory.hpp"

using Bytes = std::vector<std::uint8_t>;

struct Picture {
    int format, colour, width, height;
    Bytes pixels;  // plane after plane, rows without gaps

    dpiqa_frame frame() const;
};

enum class Memory { kPageable, kPinned, kDevice };
constexpr Memory kMemories[] = {Memory::kPageable, Memory::kPinned, Memory::kDevice};

const char* memory_name(Memory memory);
const char* format_name(int format);

Picture from_golden(const Golden& golden);

// Flat runs and noise of all scales, the same for the same seed.
Picture random_picture(int format, int colour, int width, int height, unsigned seed);

// A picture in memory of a kind, its rows `gap` bytes further apart than they are long.
class Placed {
  public:
    Placed(const Picture& picture, Memory memory, std::size_t gap);
    const dpiqa_frame& frame() const { return frame_; }

  private:
    Bytes pageable_;
    dpiqa::core::PinnedBuffer<std::uint8_t> pinned_;
    dpiqa::core::DeviceBuffer<std::uint8_t> device_;
    dpiqa_frame frame_{};
};
