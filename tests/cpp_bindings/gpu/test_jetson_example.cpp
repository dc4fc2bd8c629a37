// The example for a Jetson's decoder, compiled against stub headers and run on surfaces in the stub's device memory.
#include <doctest/doctest.h>

#include <gst/app/gstappsink.h>
#include <nvbufsurface.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <string>

#include "engine_file.hpp"
#include "golden.hpp"

extern "C" int score_nvv4l2_main(int argc, char** argv);

struct GstBuffer {
    NvBufSurfaceParams picture;
    NvBufSurface surface;
};
struct GstSample {
    GstBuffer* buffer;
};
struct GstElement {
    int references;
};

namespace {

// What the pipeline's sink gives.
struct Stream {
    std::deque<GstSample> samples;
    GstElement element{0};
    int mapped = 0, held = 0;
};

Stream& stream() {
    static Stream instance;
    return instance;
}

GstBuffer buffer_of(const dpiqa_frame& frame) {
    GstBuffer buffer{};
    buffer.picture.width = static_cast<uint32_t>(frame.width);
    buffer.picture.height = static_cast<uint32_t>(frame.height);
    buffer.picture.layout = NVBUF_LAYOUT_PITCH;
    constexpr NvBufSurfaceColorFormat kFormats[] = {NVBUF_COLOR_FORMAT_NV12, NVBUF_COLOR_FORMAT_NV12_ER, NVBUF_COLOR_FORMAT_NV12_709,
                                                    NVBUF_COLOR_FORMAT_NV12_709_ER};
    buffer.picture.colorFormat = kFormats[frame.colour - DPIQA_BT601_LIMITED];
    buffer.picture.dataPtr = const_cast<void*>(frame.planes[0].data);
    for (std::size_t i = 0; i < 2; ++i) {
        NvBufSurfacePlaneParams& planes = buffer.picture.planeParams;
        planes.offset[i] = static_cast<uint32_t>(static_cast<const char*>(frame.planes[i].data) -
                                                 static_cast<const char*>(frame.planes[0].data));
        planes.psize[i] = static_cast<uint32_t>(frame.planes[i].size);
        planes.pitch[i] = static_cast<uint32_t>(frame.planes[i].pitch);
    }
    buffer.surface = {0, 1, 1, NVBUF_MEM_CUDA_DEVICE, nullptr};
    return buffer;
}

struct Ended {
    int status;
    std::string out, errors;
};

// Runs the example on these buffers, its output and errors caught.
Ended run(const std::string& engine, std::vector<GstBuffer> buffers, std::string pipeline = "decode ! appsink name=frames") {
    for (GstBuffer& buffer : buffers) {
        buffer.surface.surfaceList = &buffer.picture;
        stream().samples.push_back({&buffer});
    }
    std::string name = "score_nvv4l2", file = engine;
    char* arguments[] = {name.data(), file.data(), pipeline.data(), nullptr};
    std::FILE* caught[2] = {std::tmpfile(), std::tmpfile()};
    std::FILE* own[2] = {stdout, stderr};
    int saved[2];
    for (std::size_t i = 0; i < 2; ++i) {
        std::fflush(own[i]);
        saved[i] = dup(fileno(own[i]));
        dup2(fileno(caught[i]), fileno(own[i]));
    }
    Ended ended{score_nvv4l2_main(3, arguments), "", ""};
    for (std::size_t i = 0; i < 2; ++i) {
        std::fflush(own[i]);
        dup2(saved[i], fileno(own[i]));
        close(saved[i]);
        std::rewind(caught[i]);
        for (int letter = std::fgetc(caught[i]); letter != EOF; letter = std::fgetc(caught[i]))
            (i == 0 ? ended.out : ended.errors) += static_cast<char>(letter);
        std::fclose(caught[i]);
    }
    stream().samples.clear();
    CHECK(stream().mapped == 0);
    CHECK(stream().held == 0);
    CHECK(stream().element.references == 0);
    return ended;
}

const Golden& an_nv12() {
    return *std::find_if(golden_vectors().begin(), golden_vectors().end(), [](const Golden& golden) {
        return golden.format == DPIQA_NV12;
    });
}

}  // namespace

extern "C" {
void gst_init(int*, char***) {}
GstElement* gst_parse_launch(const char* description, GError** error) {
    if (std::string(description) == "nonsense") {
        static char message[] = "no element \"nonsense\"";
        *error = new GError{message};
        return nullptr;
    }
    ++stream().element.references;
    return &stream().element;
}
GstElement* gst_bin_get_by_name(GstBin* bin, const char*) {
    ++bin->references;
    return bin;
}
int gst_element_set_state(GstElement*, GstState) { return 1; }
GstSample* gst_app_sink_pull_sample(GstAppSink*) {
    if (stream().samples.empty()) return nullptr;
    ++stream().held;
    auto* sample = new GstSample(stream().samples.front());
    stream().samples.pop_front();
    return sample;
}
GstBuffer* gst_sample_get_buffer(GstSample* sample) { return sample->buffer; }
int gst_buffer_map(GstBuffer* buffer, GstMapInfo* map, GstMapFlags) {
    ++stream().mapped;
    *map = {reinterpret_cast<uint8_t*>(&buffer->surface), sizeof buffer->surface};
    return 1;
}
void gst_buffer_unmap(GstBuffer*, GstMapInfo*) { --stream().mapped; }
void gst_sample_unref(GstSample* sample) {
    --stream().held;
    delete sample;
}
void gst_object_unref(void* object) { --static_cast<GstElement*>(object)->references; }
void g_error_free(GError* error) { delete error; }
}

TEST_CASE("the example scores a decoder's surfaces where they lie") {
    const EngineFile file(fake::Generation::kTensorRt10);
    fake::set_library({});
    const auto device = on_device(an_nv12().frame());
    const Ended ended = run(file.files().engine, {buffer_of(device.frame), buffer_of(device.frame)});
    CHECK(ended.status == 0);
    CHECK(ended.errors.empty());
    char score[64];
    std::snprintf(score, sizeof score, "\"index\":1,\"score\":%.3f,", static_cast<double>(expected(an_nv12().frame()).raw[0].score));
    CHECK(ended.out.find(score) != std::string::npos);
    CHECK(std::count(ended.out.begin(), ended.out.end(), '\n') == 2);
}

TEST_CASE("the example refuses what it cannot read, with one sentence") {
    const EngineFile file(fake::Generation::kTensorRt10);
    fake::set_library({});
    const auto device = on_device(an_nv12().frame());
    const auto refusal = [&](void (*change)(GstBuffer&)) {
        GstBuffer buffer = buffer_of(device.frame);
        change(buffer);
        const Ended ended = run(file.files().engine, {buffer});
        CHECK(ended.status == 2);
        CHECK(std::count(ended.errors.begin(), ended.errors.end(), '\n') == 1);
        return ended.errors;
    };
    CHECK(refusal([](GstBuffer& buffer) { buffer.surface.memType = NVBUF_MEM_SURFACE_ARRAY; }).find("not in CUDA memory") != std::string::npos);
    CHECK(refusal([](GstBuffer& buffer) { buffer.picture.layout = NVBUF_LAYOUT_BLOCK_LINEAR; }).find("are tiled") != std::string::npos);
    CHECK(refusal([](GstBuffer& buffer) { buffer.picture.colorFormat = NVBUF_COLOR_FORMAT_RGBA; }).find("are not NV12") != std::string::npos);
    CHECK(refusal([](GstBuffer& buffer) { buffer.surface.numFilled = 0; }).find("holds no picture") != std::string::npos);
    CHECK(refusal([](GstBuffer& buffer) { buffer.picture.planeParams.psize[1] = 8; }).find("plane 1: buffer of 8 bytes is too small") != std::string::npos);
    const Ended ended = run(file.files().engine, {}, "nonsense");
    CHECK(ended.status == 2);
    CHECK(ended.errors == "score_nvv4l2: no element \"nonsense\"\n");
}
