// What tests may ask of the stub CUDA runtime, which behaves as a GPU that does everything as late as the rules allow:
// a stream's work runs when somebody waits for it, streams are ordered by events only, a copy from pageable memory has read
// its source when it returns but not written its target, one from pinned memory has done neither. cudaFree waits for the
// device; cudaFreeHost and cudaStreamDestroy wait for nothing.
#pragma once

#include <functional>

#include "cuda_runtime_api.h"

namespace stub {

void set_devices(int count);

// Objects that exist: buffers of both kinds, streams, events, graphs.
int live();

// The n-th call from now on that may fail does so, once; 0: none. Returns whether the one asked for before has come.
bool fail_call(int number);

// Waits that keep a processor busy: for a stream, or for an event without cudaEventBlockingSync.
int spins();

// Copies from pageable memory to the device: on a GPU each waits for those of all other streams.
int pageable_copies();

// Puts work at the end of a stream, as a kernel's launch does.
cudaError_t launch(cudaStream_t stream, std::function<void()> work);

bool is_capturing(cudaStream_t stream);

}  // namespace stub
