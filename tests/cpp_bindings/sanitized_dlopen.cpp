// Sanitizers end a process that loads with RTLD_DEEPBIND, as TBB does with its optional NUMA binding: load without it.
#include <dlfcn.h>

extern "C" void* dlopen(const char* file, int flags) {
    using Open = void* (*)(const char*, int);
    static const auto real = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
    return real(file, flags & ~RTLD_DEEPBIND);
}
