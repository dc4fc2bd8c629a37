#include "engine.hpp"

#include <sys/stat.h>

#include "error.hpp"
#include "onnx_weights.hpp"

namespace dpiqa::core {
namespace {

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void check_is_file(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) throw EngineError(file + ": no such model file");
}

std::string engine_for(const std::string& file) {
    if (ends_with(file, ".onnx")) return "openvino";
    if (ends_with(file, ".engine")) return "tensorrt";
    if (ends_with(file, ".pte")) return "executorch";
    throw EngineError(file + ": no engine here runs such files, expected one of: .onnx, .engine, .pte");
}

std::unique_ptr<Engine> open_program(ModelBytes bytes, const EngineOptions& options) {
#if DPIQA_HAS_EXECUTORCH
    return open_executorch(std::move(bytes), options);
#else
    static_cast<void>(options);
    throw EngineError(bytes.name() + ": this libdpiqa was built without ExecuTorch, rebuild it with -DDPIQA_WITH_EXECUTORCH=ON");
#endif
}

}  // namespace

std::unique_ptr<Engine> open_engine(const std::string& file, const EngineOptions& options) {
    check_is_file(file);
    const std::string chosen = options.engine == "auto" ? engine_for(file) : options.engine;
    if (chosen == "openvino") {
#if DPIQA_HAS_OPENVINO
        if (!options.unverified) check_onnx_weights(file);
        return open_openvino(file, options);
#else
        throw EngineError(file + ": this libdpiqa was built without OpenVINO, rebuild it with -DDPIQA_WITH_OPENVINO=ON");
#endif
    }
    if (chosen == "tensorrt") {
#if DPIQA_HAS_TENSORRT
        return open_tensorrt(file, options);
#else
        throw EngineError(file + ": this libdpiqa was built without TensorRT, rebuild it with -DDPIQA_WITH_TENSORRT=ON");
#endif
    }
    if (chosen == "executorch") return open_program(ModelBytes(file), options);
    throw EngineError("unknown engine '" + chosen + "', expected one of: auto, openvino, tensorrt, executorch");
}

std::unique_ptr<Engine> open_engine(ModelBytes bytes, const EngineOptions& options) {
    if (options.engine != "auto" && options.engine != "executorch")
        throw EngineError(bytes.name() + ": only the engine 'executorch' opens a model in memory, found '" + options.engine + "'");
    return open_program(std::move(bytes), options);
}

}  // namespace dpiqa::core
