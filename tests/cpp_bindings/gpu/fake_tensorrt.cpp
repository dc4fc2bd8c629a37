#include "fake_tensorrt.hpp"

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "fake_network.hpp"
#include "tensorrt_engine.hpp"

namespace fake {

bool is_capturing(cudaStream_t stream);

namespace {

using namespace dpiqa::core;

struct PlanState {
    PlanText text;
    Setting setting;
    std::map<int, int> users;     // of each profile
    std::set<int> kernels;        // TensorRT-RTX: batch sizes that kernels are compiled for
    bool keeps(Generation generation) const { return setting.generation == generation; }
};

// One context: every rule that is broken is a refusal, or a misuse where the real one would be undefined.
class Context final : public TensorRtContext {
  public:
    Context(PlanState& plan, void* workspace) : plan_(plan), workspace_(workspace) { ++plan_.setting.counts->contexts; }
    ~Context() override {
        if (profile_ >= 0) --plan_.users[profile_];
    }

    bool choose_profile(int profile, cudaStream_t) override {
        const Use use(*this);
        const bool is_exclusive = plan_.keeps(Generation::kTensorRt86) && !plan_.text.shares_profiles &&
                                  plan_.text.smallest != plan_.text.largest;
        if (profile >= plan_.text.profiles || (is_exclusive && plan_.users[profile] > 0)) return false;
        ++plan_.users[profile];
        profile_ = profile;
        return true;
    }

    bool set_shape(const char* input, const std::vector<std::int64_t>& shape) override {
        const Use use(*this);
        const bool fits = profile_ >= 0 && std::string(input) == "frames" && shape.size() == 4 &&
                          shape[0] >= plan_.text.smallest && shape[0] <= plan_.text.largest &&
                          shape[1] == plan_.text.height && shape[2] == plan_.text.width && shape[3] == 3;
        if (fits) count_ = static_cast<int>(shape[0]);
        is_set_up_ = false;
        return fits;
    }

    bool place(const char* tensor, void* memory) override {
        const Use use(*this);
        places_[tensor] = memory;
        return memory != nullptr;
    }

    bool enqueue(cudaStream_t stream) override {
        const Use use(*this);
        Counts& counts = *plan_.setting.counts;
        if (++counts.enqueues == plan_.setting.failing_enqueue) return false;
        if (count_ == 0 || workspace_ == nullptr || places_.size() < 2 || places_.count("score") == 0) return false;
        if (is_capturing(stream) && (plan_.keeps(Generation::kRtx17) || !plan_.text.is_recordable)) return false;
        if (!is_set_up_ && cudaStreamSynchronize(stream) != cudaSuccess) return false;
        is_set_up_ = true;
        if (plan_.keeps(Generation::kRtx17) && plan_.kernels.insert(count_).second) ++counts.compiled;
        if (!is_capturing(stream)) {
            counts.rows += count_;
            ++counts.by_size[count_];
        }
        const FakeNetwork network{static_cast<std::uint8_t*>(places_["frames"]),
                                  static_cast<std::size_t>(plan_.text.width) * static_cast<std::size_t>(plan_.text.height) * 3,
                                  static_cast<float*>(places_["score"]), static_cast<float*>(places_["causes"]),
                                  static_cast<float*>(places_["map"]), plan_.text.causes,
                                  plan_.text.map_width * plan_.text.map_height};
        return launch_fake_network(network, count_, stream) == cudaSuccess;
    }

  private:
    // Two threads in one context at once.
    struct Use {
        explicit Use(Context& used) : context(used) {
            if (context.is_used_.exchange(true)) ++context.plan_.setting.counts->misuses;
        }
        ~Use() { context.is_used_ = false; }
        Context& context;
    };

    PlanState& plan_;
    void* workspace_;
    int profile_ = -1, count_ = 0;
    bool is_set_up_ = false;
    std::map<std::string, void*> places_;
    std::atomic<bool> is_used_{false};
};

class Plan final : public TensorRtPlan {
  public:
    Plan(const PlanText& text, const Setting& setting) : state_{text, setting, {}, {}} {}

    std::vector<Tensor> tensors() const override {
        const PlanText& text = state_.text;
        return {{"frames", true, TensorType::kUint8, {-1, text.height, text.width, 3}},
                {"score", false, TensorType::kFloat32, {-1}},
                {"causes", false, TensorType::kFloat32, {-1, text.causes}},
                {"map", false, TensorType::kFloat32, {-1, text.map_height, text.map_width}}};
    }

    int profiles() const override { return state_.text.profiles; }
    std::size_t workspace() const override { return 1024; }

    std::unique_ptr<TensorRtContext> make_context(void* workspace, std::size_t size) override {
        return std::make_unique<Context>(state_, size < 1024 ? nullptr : workspace);
    }

    bool load_kernels(const std::string& bytes) override {
        if (state_.setting.generation != Generation::kRtx17) return false;
        std::istringstream words(bytes);
        std::string head;
        words >> head;
        if (head != "kernels-1.7") return false;
        for (int size = 0; words >> size;) state_.kernels.insert(size);
        return true;
    }

    std::string kernels() const override {
        if (state_.setting.generation != Generation::kRtx17) return {};
        std::string bytes = "kernels-1.7";
        for (const int size : state_.kernels) bytes += " " + std::to_string(size);
        return bytes;
    }

  private:
    PlanState state_;
};

class FakeLibrary final : public TensorRtLibrary {
  public:
    explicit FakeLibrary(const Setting& setting) : setting_(setting) {}

    Library identity() const override { return identity_of(setting_); }

    std::unique_ptr<TensorRtPlan> load(const std::string& bytes) override {
        int devices = 0;
        if (cudaGetDeviceCount(&devices) == cudaErrorNoDevice && setting_.is_lean) std::abort();  // as the real one does
        ++setting_.counts->loads;
        PlanText text;
        std::string head, end;
        std::istringstream words(bytes);
        words >> head >> text.width >> text.height >> text.causes >> text.map_width >> text.map_height >> text.smallest >>
            text.largest >> text.profiles >> text.shares_profiles >> text.is_version_compatible >> text.is_recordable >> end;
        if (head != "plan" || end != "end" || (setting_.is_lean && !text.is_version_compatible)) return nullptr;
        return std::make_unique<Plan>(text, setting_);
    }

  private:
    Setting setting_;
};

Setting& current() {
    static Setting setting;
    return setting;
}

}  // namespace

std::string PlanText::text() const {
    std::ostringstream words;
    words << "plan " << width << ' ' << height << ' ' << causes << ' ' << map_width << ' ' << map_height << ' ' << smallest << ' '
          << largest << ' ' << profiles << ' ' << shares_profiles << ' ' << is_version_compatible << ' ' << is_recordable << " end";
    return words.str();
}

void set_library(const Setting& setting) { current() = setting; }

std::unique_ptr<TensorRtLibrary> make_library(const Setting& setting) { return std::make_unique<FakeLibrary>(setting); }

Library identity_of(const Setting& setting) {
    switch (setting.generation) {
        case Generation::kTensorRt86: return {"tensorrt", 8601, setting.is_lean};
        case Generation::kTensorRt10: return {"tensorrt", 101600, setting.is_lean};
        case Generation::kTensorRt11: return {"tensorrt", 110100, setting.is_lean};
        default: return {"tensorrt-rtx", 10701, setting.is_lean};
    }
}

const char* version_of(Generation generation) {
    switch (generation) {
        case Generation::kTensorRt86: return "8.6.1";
        case Generation::kTensorRt10: return "10.16.0";
        case Generation::kTensorRt11: return "11.1.0";
        default: return "1.7.1";
    }
}

}  // namespace fake

#ifdef DPIQA_STUB_CUDA
#include "stub_cuda.hpp"

bool fake::is_capturing(cudaStream_t stream) { return stub::is_capturing(stream); }
#else
bool fake::is_capturing(cudaStream_t stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream, &status) == cudaSuccess && status != cudaStreamCaptureStatusNone;
}
#endif

namespace dpiqa::core {

std::unique_ptr<Engine> open_tensorrt(const std::string& file, const EngineOptions& options) {
    return std::make_unique<TensorRtEngine>(fake::make_library(fake::current()), file, options);
}

}  // namespace dpiqa::core
