#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "dpiqa/dpiqa.h"
#include "golden.hpp"

extern "C" int zeroed_options_open_from_c(const char* path);

namespace {

struct Opened {
    explicit Opened(const char* file = kModel) { REQUIRE(dpiqa_open(data_path(file).c_str(), nullptr, &handle) == DPIQA_OK); }
    ~Opened() { dpiqa_close(handle); }
    dpiqa_scorer* handle = nullptr;
};

void check_failed(int status, int wanted, const char* part) {
    CHECK(status == wanted);
    CHECK(std::string(dpiqa_last_error()).find(part) != std::string::npos);
    CHECK(std::string(dpiqa_last_error()).find('\n') == std::string::npos);
}

int open_with(const std::string& path, const dpiqa_options& options = {}) {
    dpiqa_scorer* scorer = reinterpret_cast<dpiqa_scorer*>(1);
    const int status = dpiqa_open(path.c_str(), &options, &scorer);
    CHECK((status == DPIQA_OK || scorer == nullptr));
    if (status == DPIQA_OK) dpiqa_close(scorer);
    return status;
}

// A file with this content that lives as long as the test.
struct TemporaryFile {
    TemporaryFile(const std::string& ending, const std::string& content) {
        char name[] = "/tmp/dpiqa_test_XXXXXX";
        const int descriptor = mkstemp(name);
        REQUIRE(descriptor >= 0);
        std::fclose(fdopen(descriptor, "w"));
        std::remove(name);
        path = name + ending;
        std::ofstream(path, std::ios::binary) << content;
    }
    ~TemporaryFile() { std::remove(path.c_str()); }
    std::string path;
};

}  // namespace

TEST_CASE("the version is the project's") { CHECK(std::string(dpiqa_version()) == DPIQA_TEST_VERSION); }

TEST_CASE("a C program opens a model with zeroed options") { CHECK(zeroed_options_open_from_c(data_path(kModel).c_str()) == DPIQA_OK); }

TEST_CASE("null pointers are refused by name") {
    Opened model;
    dpiqa_scorer* scorer = nullptr;
    dpiqa_info info;
    dpiqa_reading reading{};
    const dpiqa_frame frame = golden_vectors()[0].frame();
    check_failed(dpiqa_open(nullptr, nullptr, &scorer), DPIQA_ERROR_INPUT, "'path' is a null pointer");
    check_failed(dpiqa_open("x.onnx", nullptr, nullptr), DPIQA_ERROR_INPUT, "'scorer'");
    check_failed(dpiqa_describe(nullptr, &info), DPIQA_ERROR_INPUT, "'scorer'");
    check_failed(dpiqa_describe(model.handle, nullptr), DPIQA_ERROR_INPUT, "'info'");
    check_failed(dpiqa_score(nullptr, &frame, 1, &reading), DPIQA_ERROR_INPUT, "'scorer'");
    check_failed(dpiqa_score(model.handle, nullptr, 1, &reading), DPIQA_ERROR_INPUT, "'frames'");
    check_failed(dpiqa_score(model.handle, &frame, 1, nullptr), DPIQA_ERROR_INPUT, "'readings'");
    check_failed(dpiqa_frame_init(nullptr, DPIQA_BGR, 0, 64, 64, "", 1, 0), DPIQA_ERROR_INPUT, "'frame'");
    check_failed(dpiqa_preprocess(nullptr, 64, 64, nullptr, 0), DPIQA_ERROR_INPUT, "'frame'");
    check_failed(dpiqa_preprocess(&frame, 64, 64, nullptr, 0), DPIQA_ERROR_INPUT, "'rgb'");
    dpiqa_close(nullptr);
    CHECK(dpiqa_score(model.handle, nullptr, 0, nullptr) == DPIQA_OK);
}

TEST_CASE("unusable model files are refused by name") {
    check_failed(open_with("/nowhere/x.onnx"), DPIQA_ERROR_ENGINE, "/nowhere/x.onnx: no such model file");
    check_failed(open_with("/tmp"), DPIQA_ERROR_ENGINE, "/tmp: no such model file");
    const TemporaryFile text(".txt", "x");
    check_failed(open_with(text.path), DPIQA_ERROR_ENGINE, "no engine here runs such files");
#if DPIQA_HAS_OPENVINO
    const TemporaryFile empty(".onnx", "");
    check_failed(open_with(empty.path), DPIQA_ERROR_ENGINE, "not an ONNX model");
    const std::string model = read_file(data_path("tiny.onnx"));
    const TemporaryFile cut(".onnx", model.substr(0, model.size() / 2));
    check_failed(open_with(cut.path), DPIQA_ERROR_ENGINE, "cut off");
    std::string damaged = model;
    for (std::size_t i = 20; i < 400; ++i) damaged[i] = static_cast<char>(damaged[i] ^ 0x5a);
    const TemporaryFile scrambled(".onnx", damaged);
    CHECK(open_with(scrambled.path) < 0);
#endif
}

#if DPIQA_HAS_OPENVINO
TEST_CASE("weights that are not those of the contract are refused, unless nobody asks") {
    std::string model = read_file(data_path("tiny.onnx"));
    const std::size_t weight = model.rfind("w2") + 100;  // the initializer's name, then its values
    REQUIRE(weight < model.size());
    model[weight] = static_cast<char>(model[weight] ^ 1);
    const TemporaryFile changed(".onnx", model);
    check_failed(open_with(changed.path), DPIQA_ERROR_CONTRACT, "its weights are not those of its contract");
    dpiqa_options options{};
    options.unverified = 1;
    CHECK(open_with(changed.path, options) == DPIQA_OK);
}
#endif

TEST_CASE("an engine without its library, manifest or GPU is refused") {
    const TemporaryFile engine(".engine", "bytes");
#if DPIQA_HAS_TENSORRT
    check_failed(open_with(engine.path), DPIQA_ERROR_ENGINE, "its manifest");
#else
    check_failed(open_with(engine.path), DPIQA_ERROR_ENGINE, "was built without TensorRT");
#endif
}

TEST_CASE("unusable options are refused") {
    const std::string model = data_path(kModel);
    dpiqa_options options{};
    options.engine = "magic";
    check_failed(open_with(model, options), DPIQA_ERROR_ENGINE, "unknown engine 'magic', expected one of: auto, openvino, tensorrt");
    options = {};
    options.threads = -1;
    check_failed(open_with(model, options), DPIQA_ERROR_ENGINE, "threads must be 0 or more");
    options = {};
    options.requests = 65;
    check_failed(open_with(model, options), DPIQA_ERROR_ENGINE, "requests must be 0 to 64");
}

TEST_CASE("one bad frame among many is named, and none is scored") {
    Opened model;
    dpiqa_frame frames[2] = {golden_vectors()[0].frame(), golden_vectors()[1].frame()};
    dpiqa_reading readings[2] = {};
    readings[0].score = -1;
    frames[1].planes[0].pitch = 3;
    check_failed(dpiqa_score(model.handle, frames, 2, readings), DPIQA_ERROR_INPUT, "frames[1]: frame: plane 0: pitch of 3 bytes");
    CHECK(readings[0].score == -1);
    frames[1] = frames[0];
    frames[1].memory = DPIQA_DEVICE;
    check_failed(dpiqa_score(model.handle, frames, 2, readings), DPIQA_ERROR_INPUT, "device memory");
    CHECK(dpiqa_score(model.handle, frames, 1, readings) == DPIQA_OK);  // the handle lives on
}

TEST_CASE("a frame that shows nothing is void, with the lowest score, map and causes") {
    Opened model;
    dpiqa_info info;
    REQUIRE(dpiqa_describe(model.handle, &info) == DPIQA_OK);
    std::vector<float> causes(static_cast<std::size_t>(info.cause_count), -1.0F);
    std::vector<float> map(static_cast<std::size_t>(info.map_width * info.map_height), -1.0F);
    const std::pair<unsigned char, dpiqa_void> levels[] = {{0, DPIQA_VOID_BLACK}, {128, DPIQA_VOID_FLAT}, {255, DPIQA_VOID_WHITE}};
    for (const auto& [level, expected] : levels) {
        const std::vector<unsigned char> pixels(64 * 64 * 3, level);
        dpiqa_frame frame;
        REQUIRE(dpiqa_frame_init(&frame, DPIQA_BGR, DPIQA_COLOUR_NONE, 64, 64, pixels.data(), pixels.size(), 0) == DPIQA_OK);
        dpiqa_reading reading{};
        reading.causes = causes.data();
        reading.map = map.data();
        REQUIRE(dpiqa_score(model.handle, &frame, 1, &reading) == DPIQA_OK);
        CHECK(reading.void_kind == expected);
        CHECK(reading.score == info.score_minimum);
        CHECK(causes == std::vector<float>(causes.size(), 0.0F));
        CHECK(map == std::vector<float>(map.size(), info.score_minimum));
        reading.void_kind = DPIQA_VOID_IGNORED;
        REQUIRE(dpiqa_score(model.handle, &frame, 1, &reading) == DPIQA_OK);
        CHECK(reading.score > info.score_minimum);
    }
    const std::vector<unsigned char> low(40 * 1920 * 3 / 2, 128);  // its planes of chroma have 20 rows
    dpiqa_frame band;
    REQUIRE(dpiqa_frame_init(&band, DPIQA_I420, DPIQA_BT709_FULL, 1920, 40, low.data(), low.size(), 0) == DPIQA_OK);
    dpiqa_reading flat{};
    REQUIRE(dpiqa_score(model.handle, &band, 1, &flat) == DPIQA_OK);
    CHECK(flat.void_kind == DPIQA_VOID_FLAT);
    const dpiqa_frame photograph = golden_vectors()[0].frame();
    dpiqa_reading reading{};
    reading.void_kind = DPIQA_VOID_FLAT;  // what is left of an earlier call
    REQUIRE(dpiqa_score(model.handle, &photograph, 1, &reading) == DPIQA_OK);
    CHECK(reading.void_kind == DPIQA_NOT_VOID);
}

TEST_CASE("after a fork the child refuses its parent's scorer, and can close it") {
    Opened model;
    const std::vector<unsigned char> pixels(64 * 64 * 3, 90);
    dpiqa_frame frame;
    REQUIRE(dpiqa_frame_init(&frame, DPIQA_BGR, DPIQA_COLOUR_NONE, 64, 64, pixels.data(), pixels.size(), 0) == DPIQA_OK);
    dpiqa_reading reading{};
    REQUIRE(dpiqa_score(model.handle, &frame, 1, &reading) == DPIQA_OK);
    const pid_t child = fork();
    if (child == 0) {
        alarm(5);  // rather than wait forever
        const int status = dpiqa_score(model.handle, &frame, 1, &reading);
        const bool told = std::string(dpiqa_last_error()).find("open a scorer after the fork") != std::string::npos;
        dpiqa_close(model.handle);
        _exit(status == DPIQA_ERROR_ENGINE && told ? 0 : 1);
    }
    REQUIRE(child > 0);
    int ended = -1;
    REQUIRE(waitpid(child, &ended, 0) == child);
    CHECK(ended == 0);
    CHECK(dpiqa_score(model.handle, &frame, 1, &reading) == DPIQA_OK);
}

TEST_CASE("preprocessing alone checks the room it is given") {
    const dpiqa_frame frame = golden_vectors()[0].frame();
    uint8_t rgb[64 * 64 * 3];
    CHECK(dpiqa_preprocess(&frame, 64, 64, rgb, sizeof rgb) == DPIQA_OK);
    check_failed(dpiqa_preprocess(&frame, 64, 64, rgb, sizeof rgb - 1), DPIQA_ERROR_INPUT, "needs 12288");
    check_failed(dpiqa_preprocess(&frame, 0, 64, rgb, sizeof rgb), DPIQA_ERROR_INPUT, "32 to 4096");
    check_failed(dpiqa_preprocess(&frame, 1 << 30, 1 << 30, rgb, sizeof rgb), DPIQA_ERROR_INPUT, "32 to 4096");
}

TEST_CASE("the log says what was opened, and can be silenced") {
    std::string said;
    dpiqa_set_log([](int, const char* message, void* user) { *static_cast<std::string*>(user) += message; }, &said);
    { Opened model; }
    CHECK(said.find(std::string(kModel) + ": opened with engine " + kEngine) != std::string::npos);
    dpiqa_set_log(nullptr, nullptr);
    said.clear();
    { Opened model; }
    CHECK(said.empty());
}
