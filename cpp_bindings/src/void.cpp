#include "void.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "axis.hpp"
#include "frame.hpp"
#include "layout.hpp"

namespace dpiqa::core {
namespace {

constexpr int kLongestSide = 480, kPatch = 8, kCropSide = 256;
constexpr double kPatchLevels = 6.5, kPatchNoise = 1.5;
constexpr double kPixelLevels = 24, kPixelNoise = 10;
constexpr double kMostNoise = 12, kMostNoiseUnshrunk = 48;
constexpr double kBlackTo = 24, kWhiteFrom = 232;
constexpr int kClear = 48;     // levels between a few patches: far beyond the rule, so that most frames need no more
constexpr int kPlaces = 5;     // of those patches, along each side
constexpr double kHalfPi = 1.5707963267948966;

// One channel of a frame, where it lies: 8 bits, of longer samples the upper ones.
struct Channel {
    const std::uint8_t* data;
    int width, height;
    std::size_t step, pitch;  // bytes from one sample, and from one row, to the next

    std::uint8_t at(int x, int y) const { return data[static_cast<std::size_t>(y) * pitch + static_cast<std::size_t>(x) * step]; }
    int longest() const { return std::max(width, height); }
};

// A channel's samples without gaps.
struct Samples {
    std::vector<std::uint8_t> levels;
    int width = 0, height = 0;

    Channel channel() const { return {levels.data(), width, height, 1, static_cast<std::size_t>(width)}; }
};

struct Channels {
    std::array<Channel, 3> channels;
    std::size_t count = 0;

    const Channel* begin() const { return channels.data(); }
    const Channel* end() const { return channels.data() + count; }
};

Channels channels_of(const dpiqa_frame& frame) {
    Channels all{};
    const int planes = shape_of(frame.format, frame.width, frame.height).planes;
    for (int plane = 0; plane < planes; ++plane) {
        const auto* data = static_cast<const std::uint8_t*>(frame.planes[plane].data);
        for (const Layout& layout : layout_of(frame.format, plane))
            all.channels[all.count++] = {data + layout.offset + layout.bytes - 1, frame.width / layout.subsampling,
                                         frame.height / row_subsampling(plane), static_cast<std::size_t>(layout.stride),
                                         frame.planes[plane].pitch};
    }
    return all;
}

bool clearly_shows(const Channel& channel) {
    const int side = std::max(kPatch, channel.longest() * kPatch / kLongestSide);
    const int width = std::min(side, channel.width), height = std::min(side, channel.height);
    std::int64_t least = INT64_MAX, most = 0;
    for (int place = 0; place < kPlaces * kPlaces; ++place) {
        const int left = (channel.width - width) * (place % kPlaces) / (kPlaces - 1);
        const int top = (channel.height - height) * (place / kPlaces) / (kPlaces - 1);
        std::int64_t sum = 0;
        for (int y = top; y < top + height; ++y)
            for (int x = left; x < left + width; ++x) sum += channel.at(x, y);
        least = std::min(least, sum);
        most = std::max(most, sum);
    }
    return most - least > std::int64_t{kClear} * width * height;
}

// The same channel from (left, top) on.
Channel part(const Channel& channel, int left, int top, int width, int height) {
    const auto *first = channel.data + static_cast<std::size_t>(top) * channel.pitch + static_cast<std::size_t>(left) * channel.step;
    return {first, width, height, channel.step, channel.pitch};
}

Channel middle(const Channel& channel) {
    const int width = std::min(kCropSide, channel.width), height = std::min(kCropSide, channel.height);
    return part(channel, (channel.width - width) / 2, (channel.height - height) / 2, width, height);
}

Samples copied(const Channel& channel) {
    Samples samples{{}, channel.width, channel.height};
    samples.levels.reserve(static_cast<std::size_t>(channel.width) * static_cast<std::size_t>(channel.height));
    for (int y = 0; y < channel.height; ++y)
        for (int x = 0; x < channel.width; ++x) samples.levels.push_back(channel.at(x, y));
    return samples;
}

// The taps of a target that count: those behind may lie beyond the edge.
int taps_of(const Axis& axis, std::size_t target) {
    int taps = axis.taps;
    while (taps > 1 && axis.weights[target * static_cast<std::size_t>(axis.taps) + static_cast<std::size_t>(taps - 1)] == 0) --taps;
    return taps;
}

// The means of areas, by the resize rule `area`: `width` of them side by side, `height` rows.
std::vector<double> means_of(const Channel& channel, int width, int height) {
    const Axis columns = make_axis(channel.width, width, 1), rows = make_axis(channel.height, height, 1);
    std::vector<int> taps(columns.first.size());
    for (std::size_t column = 0; column < taps.size(); ++column) taps[column] = taps_of(columns, column);
    std::vector<std::int64_t> sums(taps.size());
    std::vector<double> means;
    means.reserve(rows.first.size() * taps.size());
    for (std::size_t row = 0; row < rows.first.size(); ++row) {
        std::fill(sums.begin(), sums.end(), 0);
        const std::int16_t* of_row = &rows.weights[row * static_cast<std::size_t>(rows.taps)];
        for (int j = 0; j < taps_of(rows, row); ++j)
            for (std::size_t column = 0; column < taps.size(); ++column) {
                const std::int16_t* weights = &columns.weights[column * static_cast<std::size_t>(columns.taps)];
                const std::uint8_t* sample = &channel.data[static_cast<std::size_t>(rows.first[row] + j) * channel.pitch +
                                                           static_cast<std::size_t>(columns.first[column]) * channel.step];
                std::int32_t line = 0;
                for (int i = 0; i < taps[column]; ++i, sample += channel.step) line += weights[i] * *sample;
                sums[column] += std::int64_t{of_row[j]} * line;
            }
        for (const std::int64_t sum : sums) means.push_back(static_cast<double>(sum) / (1 << kWeightBits) / (1 << kWeightBits));
    }
    return means;
}

Samples shrunk(const Channel& channel) {
    if (channel.longest() <= kLongestSide) return copied(channel);
    const double scale = static_cast<double>(kLongestSide) / channel.longest();
    const auto side = [&](int pixels) { return std::max(kPatch, static_cast<int>(std::nearbyint(pixels * scale))); };
    Samples small{{}, side(channel.width), side(channel.height)};
    for (const double mean : means_of(channel, small.width, small.height))
        small.levels.push_back(static_cast<std::uint8_t>(std::lround(mean)));
    return small;
}

// Immerkaer's estimate of the noise's standard deviation, in levels.
double noise_of(const Channel& channel) {
    std::int64_t sum = 0;
    for (int y = 1; y + 1 < channel.height; ++y)
        for (int x = 1; x + 1 < channel.width; ++x) {
            const int corners = channel.at(x - 1, y - 1) + channel.at(x + 1, y - 1) + channel.at(x - 1, y + 1) + channel.at(x + 1, y + 1);
            const int cross = channel.at(x, y - 1) + channel.at(x - 1, y) + channel.at(x + 1, y) + channel.at(x, y + 1);
            sum += std::abs(corners - 2 * cross + 4 * channel.at(x, y));
        }
    const double count = static_cast<double>(channel.width - 2) * (channel.height - 2);
    return std::sqrt(kHalfPi) / 6 * static_cast<double>(sum) / count;
}

// The difference between the brightest and the darkest patch's mean, in levels.
double range_of_patches(const Channel& channel) {
    const std::vector<double> means =
        means_of(channel, std::max(1, channel.width / kPatch), std::max(1, channel.height / kPatch));
    const auto [least, most] = std::minmax_element(means.begin(), means.end());
    return *most - *least;
}

bool is_flat(const Samples& samples) {
    const double noise = noise_of(samples.channel());
    const auto [least, most] = std::minmax_element(samples.levels.begin(), samples.levels.end());
    return noise <= kMostNoise && *most - *least <= kPixelLevels + kPixelNoise * noise &&
           range_of_patches(samples.channel()) <= kPatchLevels + kPatchNoise * noise;
}

double mean_of(const Samples& samples) {
    std::int64_t sum = 0;
    for (const std::uint8_t level : samples.levels) sum += level;
    return static_cast<double>(sum) / static_cast<double>(samples.levels.size());
}

double luma_of(const dpiqa_frame& frame, const std::vector<double>& means) {
    switch (frame.format) {
        case DPIQA_BGR:
        case DPIQA_RGB:
        case DPIQA_RGBA: return 0.299 * means[0] + 0.587 * means[1] + 0.114 * means[2];  // channels come as R, G, B
        default: return means[0];
    }
}

}  // namespace

dpiqa_void void_of(const dpiqa_frame& frame) {
    if (frame.memory != DPIQA_HOST) return DPIQA_NOT_VOID;
    const Channels channels = channels_of(frame);
    if (std::any_of(channels.begin(), channels.end(), clearly_shows)) return DPIQA_NOT_VOID;
    std::vector<double> means;
    for (const Channel& channel : channels) {
        const Samples samples = shrunk(channel);
        if (!is_flat(samples) || noise_of(middle(channel)) > kMostNoiseUnshrunk) return DPIQA_NOT_VOID;
        means.push_back(mean_of(samples));
    }
    const double luma = luma_of(frame, means);
    return luma <= kBlackTo ? DPIQA_VOID_BLACK : luma >= kWhiteFrom ? DPIQA_VOID_WHITE : DPIQA_VOID_FLAT;
}

}  // namespace dpiqa::core
