#include <doctest/doctest.h>

#include <numeric>

#include "dpiqa/dpiqa.hpp"
#include "golden.hpp"

namespace {

dpiqa::Options exact() {
    dpiqa::Options options{};
    options.force_float32 = 1;
    options.threads = 1;
    return options;
}

void check_scores(const char* file, const Scores Golden::*expected, float tolerance) {
    dpiqa::Scorer scorer(data_path(file), exact());
    for (const Golden& golden : golden_vectors()) {
        const dpiqa::Reading reading = scorer.score(golden.frame());
        const Scores& wanted = golden.*expected;
        CHECK(std::abs(reading.score - wanted.score) <= tolerance);
        REQUIRE(reading.causes.size() == 2);
        CHECK(std::abs(reading.causes[0] - wanted.causes[0]) <= tolerance / 100);
        CHECK(std::abs(reading.causes[1] - wanted.causes[1]) <= tolerance / 100);
        REQUIRE(reading.map.size() == 256);
        const float mean = std::accumulate(reading.map.begin(), reading.map.end(), 0.0F) / 256;
        CHECK(std::abs(mean - wanted.map_mean) <= tolerance);
        CHECK(reading.preprocess_ms > 0);
        CHECK(reading.infer_ms > 0);
    }
}

}  // namespace

TEST_CASE("FP32 scores, causes and maps agree with ONNX Runtime") { check_scores(kModel, &Golden::fp32, 0.1F); }

#if DPIQA_HAS_OPENVINO
TEST_CASE("INT8 scores, causes and maps agree with ONNX Runtime") { check_scores("tiny-int8.onnx", &Golden::int8, 0.5F); }
#endif

TEST_CASE("a model describes itself") {
    dpiqa::Options options = exact();
    options.requests = 3;
    const dpiqa::Scorer scorer(data_path(kModel), options);
    const dpiqa_info& info = scorer.info();
    CHECK(std::string(info.name) == "tiny");
    CHECK(std::string(info.precision) == "fp32");
    CHECK(std::string(info.engine) == kEngine);
    CHECK(std::string(info.scale) == "made up");
    CHECK(std::string(info.contract).front() == '{');
    REQUIRE(info.cause_count == 2);
    CHECK(std::string(info.causes[1]) == "noise");
    CHECK(info.width == 64);
    CHECK(info.map_width == 16);
    CHECK(info.requests == 3);
    CHECK(info.score_maximum == 100);
}

TEST_CASE("many frames in one call get the scores they get alone, in order, in either mode") {
    dpiqa::Scorer alone(data_path(kModel), exact());
    std::vector<dpiqa::Frame> frames;
    for (const Golden& golden : golden_vectors()) frames.push_back(golden.frame());
    for (const int throughput : {0, 1}) {
        dpiqa::Options options = exact();
        options.requests = 4;
        options.throughput = throughput;
        dpiqa::Scorer scorer(data_path(kModel), options);
        const std::vector<dpiqa::Reading> readings = scorer.score(frames);
        for (std::size_t i = 0; i < frames.size(); ++i) CHECK(std::abs(readings[i].score - alone.score(frames[i]).score) < 1e-3F);
    }
}
