#include "engine_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fake_network.hpp"
#include "frame.hpp"
#include "golden.hpp"
#include "preprocess.hpp"
#include "sha256.hpp"

using namespace dpiqa::core;
using nlohmann::json;

namespace {

const ModelSpec& spec() {
    static const ModelSpec instance = read_model_spec(data_path("tiny.onnx"));
    return instance;
}

constexpr std::size_t kCells = 12;

template <typename Buffer>
dpiqa_frame moved(const dpiqa_frame& frame, const Buffer& memory, int kind) {
    dpiqa_frame result = frame;
    result.memory = kind;
    std::size_t offset = 0;
    for (dpiqa_plane& plane : result.planes) {
        if (plane.data == nullptr) continue;
        cuda_check(cudaMemcpy(memory.get() + offset, plane.data, plane.size, cudaMemcpyDefault), "cudaMemcpy");
        plane.data = memory.get() + offset;
        offset += plane.size;
    }
    cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return result;
}

std::size_t bytes_of(const dpiqa_frame& frame) {
    std::size_t bytes = 0;
    for (const dpiqa_plane& plane : frame.planes) bytes += plane.data == nullptr ? 0 : plane.size;
    return bytes;
}

}  // namespace

EngineFile::EngineFile(fake::Generation generation, const Change& change) {
    std::string name = (std::filesystem::temp_directory_path() / "dpiqa_engine_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
    files_ = {folder_ + "/m.engine", folder_ + "/m.engine.json", folder_ + "/m.engine.kernels"};
    fake::PlanText plan;
    plan.width = spec().width;
    plan.height = spec().height;
    plan.causes = static_cast<int>(spec().causes.size());
    json manifest = {{"manifest_version", 1},
                     {"onnx_sha256", std::string(64, 'a')},
                     {"flavour", fake::identity_of({generation, false, 0, nullptr}).flavour},
                     {"tensorrt_version", fake::version_of(generation)},
                     {"precision", "int8"},
                     {"compute_capabilities", json::array()},  // any GPU
                     {"rebuild", "dpiqa export trt --int8"},
                     {"contract", json::parse(spec().document)}};
    if (change) change(plan, manifest);
    const std::string text = plan.text();
    if (!manifest.contains("profile")) manifest["profile"] = {{"min", plan.smallest}, {"opt", plan.smallest}, {"max", plan.largest}};
    if (!manifest.contains("engine_sha256")) manifest["engine_sha256"] = sha256(text);
    std::ofstream(files_.engine) << text;
    std::ofstream(files_.manifest) << manifest.dump();
}

EngineFile::~EngineFile() { std::filesystem::remove_all(folder_); }

Readings::Readings(std::size_t count) : raw(count), values(count * (spec().causes.size() + kCells)) {
    for (std::size_t i = 0; i < count; ++i) {
        raw[i].causes = values.data() + i * (spec().causes.size() + kCells);
        raw[i].map = raw[i].causes + spec().causes.size();
    }
}

Readings expected(const dpiqa_frame& frame) {
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(spec().width) * static_cast<std::size_t>(spec().height) * 3);
    Preprocessor(spec().width, spec().height).run(frame, rgb.data());
    Readings readings(1);
    dpiqa_reading& reading = readings.raw[0];
    run_fake_network({rgb.data(), rgb.size(), &reading.score, reading.causes, reading.map, static_cast<int>(spec().causes.size()),
                      static_cast<int>(kCells)}, 0);
    return readings;
}

bool equal(const Readings& one, std::size_t index, const Readings& other) {
    const std::size_t size = other.values.size();
    return one.raw[index].score == other.raw[0].score &&
           std::equal(other.values.begin(), other.values.end(), one.values.begin() + static_cast<std::ptrdiff_t>(index * size));
}

Moved<PinnedBuffer> pinned(const dpiqa_frame& frame) {
    auto memory = pinned_buffer<std::uint8_t>(bytes_of(frame));
    const dpiqa_frame result = moved(frame, memory, DPIQA_HOST);
    return {std::move(memory), result};
}

Moved<DeviceBuffer> on_device(const dpiqa_frame& frame) {
    auto memory = device_buffer<std::uint8_t>(bytes_of(frame));
    const dpiqa_frame result = moved(frame, memory, DPIQA_DEVICE);
    return {std::move(memory), result};
}

Opened::Opened(const std::string& engine, const fake::Setting& setting, dpiqa_options options) {
    fake::set_library(setting);
    if (dpiqa_open(engine.c_str(), &options, &scorer_) != DPIQA_OK) error_ = dpiqa_last_error();
}

bool Opened::scores(const std::vector<dpiqa_frame>& frames, const std::vector<Readings>& wanted) const {
    Readings readings(frames.size());
    if (dpiqa_score(scorer_, frames.data(), frames.size(), readings.raw.data()) != DPIQA_OK) return false;
    for (std::size_t i = 0; i < frames.size(); ++i)
        if (!equal(readings, i, wanted[i])) return false;
    return true;
}
