// The C API: the wall that no exception crosses.
#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#ifndef _WIN32
#include <unistd.h>
#endif

#include "dpiqa/dpiqa.h"
#include "error.hpp"
#include "frame.hpp"
#include "log.hpp"
#include "model_spec.hpp"
#include "preprocess.hpp"
#include "scorer.hpp"
#include "signals.hpp"
#include "structs.hpp"

using namespace dpiqa::core;

namespace {

// Where processes fork: a child has the engine's memory, and none of the threads that its work waits for.
long this_process() {
#ifdef _WIN32
    return 0;
#else
    return getpid();
#endif
}

}  // namespace

struct dpiqa_scorer {
    explicit dpiqa_scorer(std::unique_ptr<Scorer> opened) : scorer(std::move(opened)) {
        for (const std::string& cause : scorer->engine().spec().causes) causes.push_back(cause.c_str());
    }
    std::unique_ptr<Scorer> scorer;
    std::vector<const char*> causes;
    const long process = this_process();
};

struct dpiqa_meter {
    Meter meter;
};

namespace {

thread_local std::string last_error;

int fail(dpiqa_status status, const char* sentence) noexcept {
    try {
        last_error = sentence;
    } catch (...) {
        last_error.clear();
    }
    return status;
}

template <typename Call>
int guarded(Call call) noexcept {
    try {
        call();
        return DPIQA_OK;
    } catch (const Failure& error) {
        return fail(error.status, error.what());
    } catch (const std::bad_alloc&) {
        return fail(DPIQA_ERROR_MEMORY, "out of memory");
    } catch (const std::exception& error) {
        return fail(DPIQA_ERROR_INTERNAL, error.what());
    } catch (...) {
        return fail(DPIQA_ERROR_INTERNAL, "an unknown exception");
    }
}

void require(const void* argument, const char* name) {
    if (argument == nullptr) throw InputError(std::string("argument '") + name + "' is a null pointer");
}

EngineOptions from_c(const dpiqa_options* given) {
    EngineOptions result;
    if (given == nullptr) return result;
    const dpiqa_options options = Structs(given, "options")[0];
    if (options.engine != nullptr) result.engine = options.engine;
    result.threads = options.threads;
    result.requests = options.requests;
    result.throughput = options.throughput != 0;
    result.force_float32 = options.force_float32 != 0;
    result.unverified = options.unverified != 0;
    result.max_wait_ms = options.max_wait_ms;
    if (options.cache != nullptr) result.cache = options.cache;
    return result;
}

}  // namespace

int dpiqa_open(const char* path, const dpiqa_options* options, dpiqa_scorer** scorer) {
    return guarded([&] {
        require(scorer, "scorer");
        *scorer = nullptr;
        require(path, "path");
        *scorer = new dpiqa_scorer(open_scorer(path, from_c(options)));
    });
}

int dpiqa_open_memory(const void* data, size_t size, const char* name, const dpiqa_options* options, dpiqa_scorer** scorer) {
    return guarded([&] {
        require(scorer, "scorer");
        *scorer = nullptr;
        require(data, "data");
        require(name, "name");
        if (reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
            throw InputError(std::string(name) + ": a model in memory must begin at an address that is a multiple of 16");
        *scorer = new dpiqa_scorer(open_scorer(ModelBytes(name, data, size), from_c(options)));
    });
}

int dpiqa_describe(const dpiqa_scorer* scorer, dpiqa_info* info) {
    return guarded([&] {
        require(scorer, "scorer");
        require(info, "info");
        const Structs target(info, "info");
        const Engine& engine = scorer->scorer->engine();
        const ModelSpec& spec = engine.spec();
        MapSize map;  // with room for that of every shape
        for (const Shape& shape : spec.shapes) {
            const MapSize size = map_size(engine, shape);
            map = {std::max(map.width, size.width), std::max(map.height, size.height)};
        }
        target.store(0, {sizeof(dpiqa_info),
                 spec.name.c_str(),
                 spec.version.c_str(),
                 spec.precision.c_str(),
                 spec.scale.c_str(),
                 engine.name(),
                 spec.document.c_str(),
                 scorer->causes.data(),
                 static_cast<int32_t>(scorer->causes.size()),
                 spec.width,
                 spec.height,
                 map.width,
                 map.height,
                 static_cast<int32_t>(scorer->scorer->requests()),
                 spec.score_minimum,
                 spec.score_maximum});
    });
}

int dpiqa_score(dpiqa_scorer* scorer, const dpiqa_frame* frames, size_t count, dpiqa_reading* readings) {
    return guarded([&] {
        require(scorer, "scorer");
        if (count == 0) return;
        require(frames, "frames");
        require(readings, "readings");
        if (scorer->process != this_process())
            throw EngineError("the scorer was opened by process " + std::to_string(scorer->process) +
                              ", before it forked this one: its threads are not here, open a scorer after the fork");
        scorer->scorer->score({frames, "frames", count}, {readings, "readings", count});
    });
}

void dpiqa_close(dpiqa_scorer* scorer) {
    guarded([&] {
        if (scorer != nullptr && scorer->process != this_process()) return;  // would wait for threads that are not here
        delete scorer;
    });
}

int dpiqa_frame_fill(dpiqa_frame* frame, int32_t format, int32_t colour, int32_t width, int32_t height, const void* data,
                     size_t size, size_t pitch) {
    return guarded([&] {
        require(frame, "frame");
        const Structs target(frame, "frame");
        target.store(0, {});
        target.store(0, make_frame(format, colour, width, height, data, size, pitch));
    });
}

int dpiqa_preprocess(const dpiqa_frame* given, int32_t width, int32_t height, uint8_t* rgb, size_t size) {
    return guarded([&] {
        require(given, "frame");
        require(rgb, "rgb");
        const dpiqa_frame frame = Structs(given, "frame")[0];
        check_frame(frame);
        if (std::min(width, height) < kMinModelSide || std::max(width, height) > kMaxModelSide)
            throw InputError(model_size_error(width, height));
        const size_t needed = static_cast<size_t>(width) * static_cast<size_t>(height) * 3;
        if (size < needed)
            throw InputError("preprocess: room for " + std::to_string(size) + " bytes, needs " + std::to_string(needed));
        // One call costs no more than a frame only if the tables survive it; each thread keeps those of its latest size.
        thread_local std::unique_ptr<Preprocessor> latest;
        thread_local int latest_width = 0, latest_height = 0;
        if (!latest || latest_width != width || latest_height != height) {
            latest = std::make_unique<Preprocessor>(width, height);
            latest_width = width;
            latest_height = height;
        }
        latest->run(frame, rgb);
    });
}

int dpiqa_meter_open(dpiqa_meter** meter) {
    return guarded([&] {
        require(meter, "meter");
        *meter = nullptr;
        *meter = new dpiqa_meter;
    });
}

int dpiqa_measure(dpiqa_meter* meter, const dpiqa_frame* given, dpiqa_signals* signals) {
    return guarded([&] {
        require(meter, "meter");
        require(given, "frame");
        require(signals, "signals");
        const dpiqa_frame frame = Structs(given, "frame")[0];
        const Structs target(signals, "signals");
        check_frame(frame);
        target.store(0, meter->meter.measure(frame));
    });
}

void dpiqa_meter_close(dpiqa_meter* meter) {
    guarded([&] { delete meter; });
}

const char* dpiqa_last_error(void) { return last_error.c_str(); }

void dpiqa_set_log(dpiqa_log_callback callback, void* user) {
    guarded([&] { set_log(callback, user); });
}

#define DPIQA_TEXT(value) #value
#define DPIQA_VERSION_TEXT(major, minor, patch) DPIQA_TEXT(major) "." DPIQA_TEXT(minor) "." DPIQA_TEXT(patch)

const char* dpiqa_version(void) {
    return DPIQA_VERSION_TEXT(DPIQA_VERSION_MAJOR, DPIQA_VERSION_MINOR, DPIQA_VERSION_PATCH);
}
