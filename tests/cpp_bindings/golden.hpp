// Golden vectors that make_data.py took from OpenCV and ONNX Runtime, and the helpers that several tests share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dpiqa/dpiqa.h"

// The test model and the engine that this build scores it with.
#if DPIQA_HAS_OPENVINO
constexpr const char *kModel = "tiny.onnx", *kEngine = "openvino";
#else
constexpr const char *kModel = "tiny.pte", *kEngine = "executorch";
#endif

struct Scores {
    float score, causes[2], map_mean;
};

struct Golden {
    int format, colour, width, height, model_width, model_height;
    std::vector<std::uint8_t> pixels, rgb;
    Scores fp32, int8;

    dpiqa_frame frame() const;
};

const std::vector<Golden>& golden_vectors();
std::string data_path(const std::string& name);
std::string read_file(const std::string& path);
