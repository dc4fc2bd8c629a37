#include "engine.hpp"

#include <sys/stat.h>

#include "error.hpp"

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
    throw EngineError(file + ": no engine here runs such files, expected one of: .onnx, .engine");
}

}  // namespace

std::unique_ptr<Engine> open_engine(const std::string& file, const EngineOptions& options) {
    check_is_file(file);
    const std::string chosen = options.engine == "auto" ? engine_for(file) : options.engine;
    if (chosen == "openvino") {
#if DPIQA_HAS_OPENVINO
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
    throw EngineError("unknown engine '" + chosen + "', expected one of: auto, openvino, tensorrt");
}

}  // namespace dpiqa::core
