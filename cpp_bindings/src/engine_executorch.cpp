// ExecuTorch with XNNPACK. Each request holds a method of its own, with the weights as XNNPACK packs them; programs are
// delegated whole, so that no operators' library is needed. All inferences of a process share ExecuTorch's one thread pool
// and run one after the other.
#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "engine.hpp"
#include "error.hpp"
#include "log.hpp"
#include "preprocess.hpp"
#include "program_file.hpp"

namespace executorch::extension::threadpool {
// Exported by ExecuTorch's libraries, which ship no header for it.
class ThreadPool {
  public:
    std::size_t get_thread_count() const;
    bool _unsafe_reset_threadpool(std::uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace dpiqa::core {
namespace {

namespace et = executorch::runtime;
namespace etensor = executorch::aten;

void log_executorch(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, std::size_t, const char* message,
                    std::size_t) {
    if (level >= et_pal_log_level_t::kError) log(DPIQA_LOG_INFO, std::string("ExecuTorch: ") + message);
}

void start_runtime() {
    static std::once_flag once;
    std::call_once(once, [] {
        et::register_pal(et::PalImpl::create(log_executorch, "dpiqa"));
        et::runtime_init();
    });
}

// The process has one pool, and every open program keeps its address: the first program's threads are those of all.
class PoolUser {
  public:
    PoolUser(int threads, const std::string& file) {
        const std::lock_guard lock(mutex());
        auto* pool = executorch::extension::threadpool::get_threadpool();
        if (pool != nullptr && threads > 0 && pool->get_thread_count() != static_cast<std::size_t>(threads)) {
            if (users()++ == 0) {
                pool->_unsafe_reset_threadpool(static_cast<std::uint32_t>(threads));
            } else {
                log(DPIQA_LOG_WARNING, file + ": ExecuTorch programs that are open already run with " +
                                           std::to_string(pool->get_thread_count()) + " threads, so does this one");
            }
        } else {
            ++users();
        }
    }
    PoolUser(const PoolUser&) = delete;
    PoolUser& operator=(const PoolUser&) = delete;
    ~PoolUser() {
        const std::lock_guard lock(mutex());
        --users();
    }

  private:
    static std::mutex& mutex() {
        static std::mutex mutex;
        return mutex;
    }
    static int& users() {
        static int users = 0;
        return users;
    }
};

void check(et::Error error, const std::string& what) {
    if (error != et::Error::Ok) throw EngineError(what + " (ExecuTorch error " + std::to_string(static_cast<int>(error)) + ")");
}

template <typename Value>
Value checked(et::Result<Value> result, const std::string& what) {
    check(result.error(), what);
    return std::move(result.get());
}

class ExecuTorchRequest final : public Request {
  public:
    ExecuTorchRequest(const et::Program& program, const ProgramFile& content, const ModelBytes& bytes)
        : file_(bytes.name()),
          content_(content),
          preprocessor_(content.spec.width, content.spec.height),
          rgb_(pixels() * 3),
          input_(pixels() * 3),
          sizes_{1, 3, content.spec.height, content.spec.width},
          strides_{static_cast<etensor::StridesType>(pixels() * 3), 1, content.spec.width * 3, 3},
          tensor_(etensor::ScalarType::Float, 4, sizes_, input_.data(), order_, strides_) {
        for (std::size_t channel = 0; channel < 3; ++channel)
            for (std::size_t level = 0; level < 256; ++level)
                levels_[channel][level] = (static_cast<float>(level) - content.mean[channel]) / content.std[channel];
        plan_memory(checked(program.method_meta("forward"), file_ + ": has no method 'forward'"));
        method_.emplace(checked(program.load_method("forward", &*memory_), file_ + ": ExecuTorch cannot load it"));
        bytes.release_pages();  // XNNPACK has packed the weights
        if (method_->inputs_size() != 1) throw ContractError(file_ + ": the program must have one input");
        check(method_->set_input(et::EValue(etensor::Tensor(&tensor_)), 0),
              file_ + ": the program must take float32 [1, 3, height, width], channels last");
        run();
        find_outputs();
    }

    MapSize map_size() const { return map_size_; }

    void load(const dpiqa_frame& frame) override {
        preprocessor_.run(frame, rgb_.data());
        const std::uint8_t* rgb = rgb_.data();
        for (float *pixel = input_.data(), *end = pixel + input_.size(); pixel < end; pixel += 3, rgb += 3) {
            pixel[0] = levels_[0][rgb[0]];
            pixel[1] = levels_[1][rgb[1]];
            pixel[2] = levels_[2][rgb[2]];
        }
    }

    void start() override {}

    Outputs wait() override {
        run();
        for (const Copy& copy : copies_)
            for (std::size_t i = 0; i < copy.count; ++i) copy.target[i] = copy.source[i * copy.step];
        return {score_, causes_.empty() ? nullptr : causes_.data(), map_.empty() ? nullptr : map_.data()};
    }

  private:
    // Every `step`th value of an output, the rest is there for the delegate's sake.
    struct Copy {
        const float* source;
        float* target;
        std::size_t count, step;
    };

    std::size_t pixels() const {
        return static_cast<std::size_t>(content_.spec.width) * static_cast<std::size_t>(content_.spec.height);
    }

    void run() { check(method_->execute(), file_ + ": ExecuTorch failed"); }

    void plan_memory(const et::MethodMeta& meta) {
        for (std::size_t i = 0; i < meta.num_memory_planned_buffers(); ++i) {
            const auto size = static_cast<std::size_t>(checked(meta.memory_planned_buffer_size(i), file_ + ": is damaged"));
            planned_.emplace_back(size);
            spans_.emplace_back(planned_.back().data(), size);
        }
        buffers_.emplace(et::Span<et::Span<std::uint8_t>>(spans_.data(), spans_.size()));
        memory_.emplace(&allocator_, &*buffers_, &scratch_);
    }

    void find_outputs() {
        if (method_->outputs_size() != content_.outputs.size())
            throw ContractError(file_ + ": the program has " + std::to_string(method_->outputs_size()) +
                                " outputs, its manifest names " + std::to_string(content_.outputs.size()));
        for (std::size_t i = 0; i < content_.outputs.size(); ++i) add_output(content_.outputs[i], method_->get_output(i));
    }

    // An output is [1, C, h, w]: the score one cell, a cause a channel of two cells, the map two equal channels.
    void add_output(const std::string& name, const et::EValue& value) {
        if (!value.isTensor() || value.toTensor().dim() != 4 || value.toTensor().scalar_type() != etensor::ScalarType::Float)
            throw ContractError(file_ + ": output '" + name + "' must be float32 [1, C, h, w]");
        const etensor::Tensor tensor = value.toTensor();
        const auto channels = static_cast<std::size_t>(tensor.size(1)), width = static_cast<std::size_t>(tensor.size(3));
        const auto cells = static_cast<std::size_t>(tensor.size(2)) * width;
        const auto step = [&](int axis) { return static_cast<std::size_t>(tensor.strides()[static_cast<std::size_t>(axis)]); };
        const float* source = tensor.const_data_ptr<float>();
        if (name == "score" && cells * channels <= 2) {
            copies_.push_back({source, &score_, 1, 1});
        } else if (name == "causes" && channels == content_.spec.causes.size()) {
            causes_.resize(channels);
            copies_.push_back({source, causes_.data(), channels, step(1)});
        } else if (name == "map" && channels == 2 && step(2) == step(3) * width) {
            map_.resize(cells);
            map_size_ = {static_cast<int>(width), static_cast<int>(tensor.size(2))};
            copies_.push_back({source, map_.data(), cells, step(3)});
        } else {
            throw ContractError(file_ + ": output '" + name + "' of the program has another shape than the contract wants");
        }
    }

    const std::string& file_;
    const ProgramFile& content_;
    Preprocessor preprocessor_;
    std::vector<std::uint8_t> rgb_;
    std::vector<float> input_;
    float levels_[3][256];
    etensor::SizesType sizes_[4];
    etensor::StridesType strides_[4];
    etensor::DimOrderType order_[4] = {0, 2, 3, 1};
    etensor::TensorImpl tensor_;
    executorch::extension::MallocMemoryAllocator allocator_, scratch_;
    std::vector<std::vector<std::uint8_t>> planned_;
    std::vector<et::Span<std::uint8_t>> spans_;
    std::optional<et::HierarchicalAllocator> buffers_;
    std::optional<et::MemoryManager> memory_;
    std::optional<et::Method> method_;
    std::vector<Copy> copies_;
    float score_ = 0;
    std::vector<float> causes_, map_;
    MapSize map_size_;
};

class ExecuTorchEngine final : public Engine {
  public:
    ExecuTorchEngine(ModelBytes bytes, const EngineOptions& options)
        : bytes_(std::move(bytes)),
          content_(read_program_file(bytes_, !options.unverified)),
          pool_((start_runtime(), options.threads), bytes_.name()),
          loader_(bytes_.data(), content_.program_size),
          program_(checked(et::Program::load(&loader_, et::Program::Verification::InternalConsistency),
                           bytes_.name() + ": not a program that ExecuTorch can load")),
          first_(std::make_unique<ExecuTorchRequest>(program_, content_, bytes_)),
          map_(first_->map_size()) {}

    const char* name() const override { return "executorch"; }
    const ModelSpec& spec() const override { return content_.spec; }
    MapSize map_size() const override { return map_; }
    int best_requests() const override { return 1; }

    std::unique_ptr<Request> make_request() override {
        if (first_) return std::move(first_);
        return std::make_unique<ExecuTorchRequest>(program_, content_, bytes_);
    }

  private:
    ModelBytes bytes_;
    ProgramFile content_;
    PoolUser pool_;
    executorch::extension::BufferDataLoader loader_;
    et::Program program_;
    std::unique_ptr<ExecuTorchRequest> first_;  // proves the program when it is opened
    MapSize map_;
};

}  // namespace

std::unique_ptr<Engine> open_executorch(ModelBytes bytes, const EngineOptions& options) {
    return std::make_unique<ExecuTorchEngine>(std::move(bytes), options);
}

}  // namespace dpiqa::core
