// What the fake TensorRT computes: numbers that depend on all of a frame's pixels and that a test can compute as well.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "preprocess_pixel.hpp"

struct FakeNetwork {
    const std::uint8_t* frames;
    std::size_t frame_bytes;
    float *score, *causes, *map;
    int cause_count, map_count;
};

DPIQA_HOST_DEVICE inline void run_fake_network(const FakeNetwork& network, int row) {
    const auto place = static_cast<std::size_t>(row);
    const std::uint8_t* frame = network.frames + place * network.frame_bytes;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < network.frame_bytes; ++i) sum += frame[i] * (i % 7 + 1);
    network.score[place] = static_cast<float>(static_cast<double>(sum) / static_cast<double>(network.frame_bytes) / 1785 * 100);
    const auto causes = static_cast<std::size_t>(network.cause_count), cells = static_cast<std::size_t>(network.map_count);
    for (std::size_t i = 0; i < causes; ++i)
        network.causes[place * causes + i] = static_cast<float>(frame[i * network.frame_bytes / causes]) / 255;
    for (std::size_t i = 0; i < cells; ++i)
        network.map[place * cells + i] = static_cast<float>(frame[i * network.frame_bytes / cells]) / 255 * 100;
}

cudaError_t launch_fake_network(const FakeNetwork& network, int count, cudaStream_t stream);
