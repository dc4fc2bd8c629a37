#include <doctest/doctest.h>

#include <climits>
#include <cstdint>
#include <vector>

#include "error.hpp"
#include "frame.hpp"

using namespace dpiqa::core;

namespace {

const std::vector<std::uint8_t> buffer(64 * 64 * 3);

dpiqa_frame nv12() { return make_frame(DPIQA_NV12, DPIQA_BT709_LIMITED, 64, 64, buffer.data(), 64 * 96, 0); }

void refuse(const dpiqa_frame& frame, const char* part) { CHECK_THROWS_WITH_AS(check_frame(frame), doctest::Contains(part), InputError); }

}  // namespace

TEST_CASE("planes are laid out as cameras do") {
    const dpiqa_frame semi = nv12();
    CHECK(static_cast<const std::uint8_t*>(semi.planes[1].data) - buffer.data() == 64 * 64);
    CHECK(semi.planes[1].pitch == 64);
    const dpiqa_frame planar = make_frame(DPIQA_I420, DPIQA_BT601_FULL, 64, 64, buffer.data(), buffer.size(), 80);
    CHECK(static_cast<const std::uint8_t*>(planar.planes[1].data) - buffer.data() == 80 * 64);
    CHECK(static_cast<const std::uint8_t*>(planar.planes[2].data) - buffer.data() == 80 * 64 + 40 * 32);
    CHECK(planar.planes[2].pitch == 40);
    const dpiqa_frame deep = make_frame(DPIQA_P010, DPIQA_BT709_LIMITED, 64, 40, buffer.data(), buffer.size(), 0);
    CHECK(deep.planes[0].pitch == 128);
    CHECK(static_cast<const std::uint8_t*>(deep.planes[1].data) - buffer.data() == 128 * 40);
    CHECK_THROWS_AS(make_frame(DPIQA_P010, DPIQA_BT709_LIMITED, 64, 64, buffer.data(), 64 * 64 * 3 - 1, 0), InputError);
    CHECK_NOTHROW(make_frame(DPIQA_RGBA, DPIQA_COLOUR_NONE, 33, 40, buffer.data(), 33 * 40 * 4, 0));
    CHECK_THROWS_AS(make_frame(DPIQA_UYVY, DPIQA_BT601_FULL, 33, 40, buffer.data(), buffer.size(), 0), InputError);
    CHECK_THROWS_AS(make_frame(DPIQA_P010, DPIQA_BT601_FULL, 34, 41, buffer.data(), buffer.size(), 0), InputError);
}

TEST_CASE("the last row needs no padding") {
    CHECK_NOTHROW(make_frame(DPIQA_GRAY, 0, 40, 32, buffer.data(), 64 * 31 + 40, 64));
    CHECK_THROWS_AS(make_frame(DPIQA_GRAY, 0, 40, 32, buffer.data(), 64 * 31 + 39, 64), InputError);
}

TEST_CASE("an unusable frame is refused in words") {
    dpiqa_frame frame = nv12();
    frame.format = 0;
    refuse(frame, "unknown pixel format 0");
    frame = nv12();
    frame.width = 0;
    refuse(frame, "0x64 pixels cannot be scored");
    frame.width = INT_MIN;
    refuse(frame, "both sides must be 32 to 16384");
    frame.width = 63;
    refuse(frame, "width and height must be even");
    frame = nv12();
    frame.colour = DPIQA_COLOUR_NONE;
    refuse(frame, "must state its colour");
    frame = nv12();
    frame.memory = 7;
    refuse(frame, "unknown kind of memory 7");
    frame = nv12();
    frame.planes[1].data = nullptr;
    refuse(frame, "plane 1 has no data");
    frame = nv12();
    frame.planes[0].pitch = 63;
    refuse(frame, "pitch of 63 bytes is below the row's 64");
    frame.planes[0].pitch = SIZE_MAX;
    refuse(frame, "is more than");
    frame = nv12();
    --frame.planes[1].size;
    refuse(frame, "buffer of 2047 bytes is too small, needs 2048");
    CHECK_THROWS_AS(make_frame(DPIQA_BGR, 0, 64, 64, nullptr, 1 << 20, 0), InputError);
    CHECK_THROWS_AS(make_frame(DPIQA_I420, DPIQA_BT601_FULL, 64, 64, buffer.data(), buffer.size(), 65), InputError);
    CHECK_THROWS_AS(make_frame(DPIQA_YUYV, DPIQA_BT601_FULL, 33, 64, buffer.data(), buffer.size(), 0), InputError);
    CHECK_THROWS_AS(make_frame(DPIQA_BGR, 0, 64, 64, buffer.data(), 3, 0), InputError);
    CHECK_THROWS_AS(make_frame(DPIQA_BGR, 0, 64, 64, buffer.data(), buffer.size(), SIZE_MAX), InputError);
}
