// The one rule for a frame in which there is nothing to see. runtime/void.py states it, and has it in Python for the
// engines outside the core; tests hold the two together.
#pragma once

#include "dpiqa/dpiqa.h"

namespace dpiqa::core {

// `frame` has passed check_frame. One in device memory is never void: its pixels cannot be looked at here.
dpiqa_void void_of(const dpiqa_frame& frame);

}  // namespace dpiqa::core
