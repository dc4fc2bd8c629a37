// The kernels that TensorRT-RTX compiled for this machine, in the file `x.engine.kernels` beside the engine.
#pragma once

#include <string>

#include "seam.hpp"

namespace dpiqa::core {

// Give the plan what an earlier process compiled, where there is any. A file of another driver or GPU is passed over.
void load_kernels(TensorRtPlan& plan, const std::string& engine_file);

// Write what has been compiled, where it is more than the file has. A folder that cannot be written is only a warning.
void save_kernels(const TensorRtPlan& plan, const std::string& engine_file);

}  // namespace dpiqa::core
