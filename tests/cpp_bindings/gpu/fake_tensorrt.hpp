// A TensorRT for tests: it answers as 8.6, 10, 11 and TensorRT-RTX 1.7 do, as far as the seam asks.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "seam.hpp"

namespace fake {

enum class Generation { kTensorRt86, kTensorRt10, kTensorRt11, kRtx17 };
constexpr Generation kGenerations[] = {Generation::kTensorRt86, Generation::kTensorRt10, Generation::kTensorRt11, Generation::kRtx17};

// What the fake engine file says, and what went on with it.
struct PlanText {
    int width = 0, height = 0, causes = 0, map_width = 4, map_height = 3;
    int smallest = 1, largest = 4, profiles = 1;
    bool shares_profiles = false;        // 8.6: built with profile sharing
    bool is_version_compatible = false;  // the lean runtime loads no others
    bool is_recordable = true;           // by hand, into a CUDA graph

    std::string text() const;
};

struct Counts {
    std::atomic<int> loads{0}, contexts{0}, enqueues{0}, rows{0}, compiled{0}, misuses{0}, by_size[65]{};
};

struct Setting {
    Generation generation = Generation::kTensorRt10;
    bool is_lean = false;
    int failing_enqueue = 0;  // the number of the one that fails, 0: none
    std::shared_ptr<Counts> counts = std::make_shared<Counts>();
};

// Of engines that are opened through the C API from now on.
void set_library(const Setting& setting);

std::unique_ptr<dpiqa::core::TensorRtLibrary> make_library(const Setting& setting);
dpiqa::core::Library identity_of(const Setting& setting);

// What the builder of that generation calls itself in Python, which `dpiqa export trt` writes into the manifest.
const char* version_of(Generation generation);

}  // namespace fake
