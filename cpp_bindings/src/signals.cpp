#include "signals.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "frame.hpp"
#include "layout.hpp"

namespace dpiqa::core {
namespace {

constexpr int kLongestSide = 480, kShortestSide = 16, kCropSide = 512, kGrid = 8;
constexpr std::size_t kBlack = 5, kWhite = 250;
constexpr double kHalfPi = 1.5707963267948966;
constexpr int kTile = 32, kMaxTiles = kLongestSide / kTile * kLongestSide / kTile;
constexpr double kChance = 1.05;       // of many tiles with the same noise, a tenth show so much less
constexpr double kLaplacianGain = 20;  // the variance that the Laplacian gives white noise of variance 1

int shrunk(int side, int longest) {
    if (longest <= kLongestSide) return side;
    return std::max(kShortestSide, (side * kLongestSide * 2 + longest) / (longest * 2));
}

struct Histogram {
    explicit Histogram(const std::vector<std::uint8_t>& pixels) : total(static_cast<double>(pixels.size())) {
        for (const std::uint8_t level : pixels) ++counts[level];
    }
    double share(std::size_t first, std::size_t last) const {
        double sum = 0;
        for (std::size_t level = first; level <= last; ++level) sum += counts[level];
        return sum / total;
    }
    // The lowest level that this share of the pixels does not exceed.
    double quantile(double part) const {
        double sum = 0;
        std::size_t level = 0;
        while (level < 255 && (sum += counts[level]) < part * total) ++level;
        return static_cast<double>(level);
    }
    double mean() const {
        double sum = 0;
        for (std::size_t level = 0; level < counts.size(); ++level) sum += static_cast<double>(level) * counts[level];
        return sum / total;
    }
    double deviation() const {
        const double middle = mean();
        double sum = 0;
        for (std::size_t level = 0; level < counts.size(); ++level)
            sum += (static_cast<double>(level) - middle) * (static_cast<double>(level) - middle) * counts[level];
        return std::sqrt(sum / total);
    }
    std::array<std::uint32_t, 256> counts{};
    double total;
};

struct Detail {
    double laplacian_variance, noise;
    double floor;  // the noise of the smoothest tenth of the tiles, where no texture counts as noise, less chance
};

// Both masks in one pass over the plane without its rim.
Detail detail_of(const LumaPlane& plane) {
    const int width = plane.width() - 2, height = plane.height() - 2;
    const int columns = std::max(1, width / kTile), rows = std::max(1, height / kTile);
    std::int64_t sum = 0, squares = 0, differences = 0;
    std::array<double, kMaxTiles> tiles{};
    for (int tile_row = 0; tile_row < rows; ++tile_row)
        for (int tile_column = 0; tile_column < columns; ++tile_column) {
            const int top = 1 + tile_row * height / rows, bottom = 1 + (tile_row + 1) * height / rows;
            const int left = 1 + tile_column * width / columns, right = 1 + (tile_column + 1) * width / columns;
            std::int64_t tile_differences = 0;
            for (int y = top; y < bottom; ++y) {
                const std::uint8_t *above = plane.row(y - 1), *here = plane.row(y), *below = plane.row(y + 1);
                std::int32_t row_sum = 0, row_differences = 0;
                std::int64_t row_squares = 0;
                for (int x = left; x < right; ++x) {
                    const std::int32_t cross = above[x] + below[x] + here[x - 1] + here[x + 1];
                    const std::int32_t corners = above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1];
                    const std::int32_t laplacian = cross - 4 * here[x];
                    row_sum += laplacian;
                    row_squares += laplacian * laplacian;
                    row_differences += std::abs(corners - 2 * cross + 4 * here[x]);  // Immerkaer 1996
                }
                sum += row_sum;
                squares += row_squares;
                tile_differences += row_differences;
            }
            differences += tile_differences;
            tiles[static_cast<std::size_t>(tile_row * columns + tile_column)] =
                static_cast<double>(tile_differences) / (static_cast<double>(bottom - top) * (right - left));
        }
    const double count = static_cast<double>(width) * height, to_deviation = std::sqrt(kHalfPi) / 6;
    const double mean = static_cast<double>(sum) / count;
    const auto smoothest = tiles.begin() + (rows * columns - 1) / 10;
    std::nth_element(tiles.begin(), smoothest, tiles.begin() + rows * columns);
    return {std::max(0.0, static_cast<double>(squares) / count - mean * mean),
            to_deviation * static_cast<double>(differences) / count, kChance * to_deviation * *smoothest};
}

double focus_of(const Detail& detail, double deviation) {
    const double noise = detail.floor * detail.floor;
    return std::sqrt(std::max(0.0, detail.laplacian_variance - kLaplacianGain * noise)) /
           (std::sqrt(std::max(0.0, deviation * deviation - noise)) + 1);
}

struct Steps {
    std::int64_t across = 0, elsewhere = 0;
};

// Mean absolute steps across the grid of 8 and elsewhere; both sides are multiples of the grid.
double blockiness_of(const LumaPlane& plane) {
    const int width = plane.width(), height = plane.height();
    Steps along_rows, along_columns;
    for (int y = 0; y < height; ++y) {
        const std::uint8_t* here = plane.row(y);
        std::int32_t all = 0, across = 0;
        for (int x = 1; x < width; ++x) all += std::abs(here[x] - here[x - 1]);
        for (int x = kGrid; x < width; x += kGrid) across += std::abs(here[x] - here[x - 1]);
        along_rows.across += across;
        along_rows.elsewhere += all - across;
        if (y == 0) continue;
        const std::uint8_t* above = plane.row(y - 1);
        std::int32_t step = 0;
        for (int x = 0; x < width; ++x) step += std::abs(here[x] - above[x]);
        (y % kGrid == 0 ? along_columns.across : along_columns.elsewhere) += step;
    }
    const auto mean = [](std::int64_t sum, int steps, int lines) {
        return static_cast<double>(sum) / (static_cast<double>(steps) * lines);
    };
    const int grid_x = width / kGrid - 1, grid_y = height / kGrid - 1;
    const double across = (mean(along_rows.across, grid_x, height) + mean(along_columns.across, grid_y, width)) / 2;
    const double elsewhere = (mean(along_rows.elsewhere, width - 1 - grid_x, height) +
                              mean(along_columns.elsewhere, height - 1 - grid_y, width)) / 2;
    return std::max(0.0, (across - elsewhere) / (across + elsewhere + 1));
}

}  // namespace

void LumaPlane::fill(const dpiqa_frame& frame, int width, int height) {
    const auto count = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    if (width != width_ || height != height_) {
        width_ = height_ = 0;  // an exception below leaves no half-made plane behind
        preprocessor_.emplace(width, height);
        rgb_.resize(count * 3);
        luma_.resize(count);
        width_ = width;
        height_ = height;
    }
    preprocessor_->run(frame, rgb_.data());
    const std::uint8_t* rgb = rgb_.data();
    for (std::size_t i = 0; i < count; ++i)
        luma_[i] = static_cast<std::uint8_t>((rgb[3 * i] * 9798 + rgb[3 * i + 1] * 19235 + rgb[3 * i + 2] * 3735 + (1 << 14)) >> 15);
}

dpiqa_frame cropped(const dpiqa_frame& frame, int x, int y, int width, int height) {
    dpiqa_frame part = frame;
    part.width = width;
    part.height = height;
    const int planes = shape_of(frame.format, frame.width, frame.height).planes;
    for (int i = 0; i < planes; ++i) {
        const std::size_t row_bytes = shape_of(frame.format, width, height).plane[i].row_bytes;
        const std::size_t offset = static_cast<std::size_t>(y / row_subsampling(i)) * frame.planes[i].pitch +
                                   row_bytes * static_cast<std::size_t>(x) / static_cast<std::size_t>(width);
        part.planes[i].data = static_cast<const std::uint8_t*>(frame.planes[i].data) + offset;
        part.planes[i].size -= offset;
    }
    return part;
}

float Meter::difference() const {
    const std::vector<std::uint8_t>& now = whole_.pixels();
    if (previous_.size() != now.size() || previous_width_ != whole_.width()) return -1;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < now.size(); ++i) sum += std::abs(now[i] - previous_[i]);
    return static_cast<float>(static_cast<double>(sum) / (255 * static_cast<double>(now.size())));
}

dpiqa_signals Meter::measure(const dpiqa_frame& frame) {
    const int longest = std::max(frame.width, frame.height);
    whole_.fill(frame, shrunk(frame.width, longest), shrunk(frame.height, longest));
    const int width = std::min(kCropSide, frame.width / kGrid * kGrid), height = std::min(kCropSide, frame.height / kGrid * kGrid);
    const int x = (frame.width - width) / 2 / kGrid * kGrid, y = (frame.height - height) / 2 / kGrid * kGrid;
    crop_.fill(cropped(frame, x, y, width, height), width, height);

    const Histogram histogram(whole_.pixels());
    const Detail detail = detail_of(whole_);
    const auto as_float = [](double value) { return static_cast<float>(value); };
    const dpiqa_signals signals{sizeof(dpiqa_signals),
                                as_float(focus_of(detail, histogram.deviation())),
                                as_float(histogram.mean() / 255),
                                as_float(histogram.share(0, kBlack)),
                                as_float(histogram.share(kWhite, 255)),
                                as_float((histogram.quantile(0.95) - histogram.quantile(0.05)) / 255),
                                as_float(detail.noise / 255),
                                as_float(blockiness_of(crop_)),
                                difference()};
    previous_.assign(whole_.pixels().begin(), whole_.pixels().end());
    previous_width_ = whole_.width();
    return signals;
}

}  // namespace dpiqa::core
