#include "kernel_cache.hpp"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "log.hpp"

namespace dpiqa::core {
namespace {

std::string path_of(const std::string& engine_file) { return engine_file + ".kernels"; }

std::string contents(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream bytes;
    bytes << stream.rdbuf();  // unlike an iterator, throws nothing where `file` is a folder
    return bytes.str();
}

}  // namespace

void load_kernels(TensorRtPlan& plan, const std::string& engine_file) {
    const std::string bytes = contents(path_of(engine_file));
    if (!bytes.empty() && !plan.load_kernels(bytes))
        log(DPIQA_LOG_INFO, path_of(engine_file) + ": of another TensorRT, driver or GPU, compiled anew");
}

void save_kernels(const TensorRtPlan& plan, const std::string& engine_file) {
    const std::string bytes = plan.kernels(), path = path_of(engine_file);
    if (bytes.empty() || bytes == contents(path)) return;
    const std::string temporary = path + "." + std::to_string(getpid());
    std::ofstream stream(temporary, std::ios::binary);
    stream << bytes;
    stream.close();
    if (!stream.fail() && std::rename(temporary.c_str(), path.c_str()) == 0) return;
    std::remove(temporary.c_str());
    log(DPIQA_LOG_WARNING, path + ": cannot be written, kernels are compiled anew at each start");
}

}  // namespace dpiqa::core
