// OpenVINO on the CPU.
#include <memory>
#include <vector>

#include "engine.hpp"
#include "openvino_variants.hpp"
#include "preprocess.hpp"

namespace dpiqa::core {
namespace {

// One inference of one shape.
class Lane {
  public:
    Lane(ov::CompiledModel model, const ModelSpec& spec, const Shape& shape, bool has_map, const std::string& file)
        : request_(model.create_infer_request()), preprocessor_(shape.width, shape.height), file_(file) {
        input_ = request_.get_tensor("frames").data<std::uint8_t>();
        outputs_.score = 0;
        score_ = request_.get_tensor("score").data<float>();
        outputs_.causes = spec.causes.empty() ? nullptr : request_.get_tensor("causes").data<float>();
        outputs_.map = has_map ? request_.get_tensor("map").data<float>() : nullptr;
    }

    void load(const dpiqa_frame& frame) { preprocessor_.run(frame, input_); }

    void start() {
        translated(file_ + ": OpenVINO failed", [this] { request_.start_async(); });
    }

    Outputs wait() {
        translated(file_ + ": OpenVINO failed", [this] { request_.wait(); });
        outputs_.score = *score_;
        return outputs_;
    }

  private:
    ov::InferRequest request_;
    Preprocessor preprocessor_;
    const std::string& file_;
    std::uint8_t* input_ = nullptr;
    const float* score_ = nullptr;
    Outputs outputs_{};
};

class OpenVinoRequest final : public Request {
  public:
    OpenVinoRequest(Variants& variants, const ModelSpec& spec, const std::string& file)
        : variants_(variants), spec_(spec), file_(file), lanes_(spec.shapes.size()) {}

    void load(const dpiqa_frame& frame) override {
        lane_ = &at(nearest_shape(spec_.shapes, frame.height, frame.width));
        lane_->load(frame);
    }

    void start() override { lane_->start(); }

    Outputs wait() override { return lane_->wait(); }

  private:
    Lane& at(std::size_t index) {
        auto& lane = lanes_[index];
        if (!lane) {
            const ov::CompiledModel compiled = variants_.at(index);
            lane = translated(file_ + ": OpenVINO failed", [&] {
                return std::make_unique<Lane>(compiled, spec_, spec_.shapes[index], variants_.map_size().width > 0, file_);
            });
        }
        return *lane;
    }

    Variants& variants_;
    const ModelSpec& spec_;
    const std::string& file_;
    std::vector<std::unique_ptr<Lane>> lanes_;  // a shape each
    Lane* lane_ = nullptr;  // that of the loaded frame
};

class OpenVinoEngine final : public Engine {
  public:
    OpenVinoEngine(const std::string& file, const EngineOptions& options)
        : file_(file), spec_(read_model_spec(file)), variants_(file_, spec_, options) {}

    const char* name() const override { return "openvino"; }
    const ModelSpec& spec() const override { return spec_; }
    MapSize map_size() const override { return variants_.map_size(); }

    int best_requests() const override { return variants_.best_requests(); }

    std::unique_ptr<Request> make_request() override { return std::make_unique<OpenVinoRequest>(variants_, spec_, file_); }

  private:
    std::string file_;
    ModelSpec spec_;
    Variants variants_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const std::string& file, const EngineOptions& options) {
    return std::make_unique<OpenVinoEngine>(file, options);
}

}  // namespace dpiqa::core
