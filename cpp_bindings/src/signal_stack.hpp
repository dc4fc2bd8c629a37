// Keeps what a library does to the calling thread's alternate signal stack from outliving a call.
#pragma once

#include <csignal>

namespace dpiqa::core {

// On destruction the thread has the alternate signal stack that it had on construction. OpenVINO's CPU plugin gives the thread
// that loads it a stack of its own, and unmaps that with the plugin, on whichever thread that happens: a signal handled there
// later would end the process.
class KeptSignalStack {
  public:
    KeptSignalStack() { sigaltstack(nullptr, &before_); }
    KeptSignalStack(const KeptSignalStack&) = delete;
    KeptSignalStack& operator=(const KeptSignalStack&) = delete;
    ~KeptSignalStack() {
        if (sigaltstack(&before_, nullptr) == 0) return;
        stack_t none{};  // with AMX in use the kernel refuses a stack that is too small for its registers
        none.ss_flags = SS_DISABLE;
        sigaltstack(&none, nullptr);
    }

  private:
    stack_t before_{};
};

}  // namespace dpiqa::core
