// The one way for the library to say something that is not an error of the call in progress.
#pragma once

#include <string>

#include "dpiqa/dpiqa.h"

namespace dpiqa::core {

void set_log(dpiqa_log_callback callback, void* user);
void log(dpiqa_log_level level, const std::string& message) noexcept;

}  // namespace dpiqa::core
