#include "log.hpp"

#include <mutex>

namespace dpiqa::core {
namespace {

struct Sink {
    std::mutex mutex;
    dpiqa_log_callback callback = nullptr;
    void* user = nullptr;
};

Sink& sink() {
    static Sink instance;
    return instance;
}

}  // namespace

void set_log(dpiqa_log_callback callback, void* user) {
    Sink& target = sink();
    const std::lock_guard lock(target.mutex);
    target.callback = callback;
    target.user = user;
}

void log(dpiqa_log_level level, const std::string& message) noexcept {
    dpiqa_log_callback callback = nullptr;
    void* user = nullptr;
    try {
        Sink& source = sink();
        const std::lock_guard lock(source.mutex);
        callback = source.callback;
        user = source.user;
    } catch (...) {
        return;  // a log line is never worth an error
    }
    // Outside the lock, so that a callback may itself call the library.
    if (callback != nullptr) callback(level, message.c_str(), user);
}

}  // namespace dpiqa::core
