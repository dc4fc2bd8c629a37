/* Scores video that a Jetson's decoder has decoded, in the memory where it lies, and prints one JSON object a frame:
 *   score_nvv4l2 x.engine "filesrc location=clip.mp4 ! qtdemux ! h264parse ! nvv4l2decoder ! nvvideoconvert \
 *     nvbuf-memory-type=nvbuf-mem-cuda-device ! video/x-raw(memory:NVMM),format=NV12 ! appsink name=frames sync=false"
 * The decoder's own surfaces are tiled: nvvideoconvert brings them into rows, in memory that CUDA reads; the CPU copies
 * nothing. Needs DeepStream (nvbufsurface.h, nvvideoconvert) and GStreamer; docs/jetson.md has the line that builds it. */
#include <dpiqa/dpiqa.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <nvbufsurface.h>
#include <stdio.h>

static int refused(const char *sentence) {
    fprintf(stderr, "score_nvv4l2: %s\n", sentence);
    return 2;
}

static int32_t colour_of(NvBufSurfaceColorFormat format) {
    switch (format) {
        case NVBUF_COLOR_FORMAT_NV12: return DPIQA_BT601_LIMITED;
        case NVBUF_COLOR_FORMAT_NV12_ER: return DPIQA_BT601_FULL;
        case NVBUF_COLOR_FORMAT_NV12_709: return DPIQA_BT709_LIMITED;
        case NVBUF_COLOR_FORMAT_NV12_709_ER: return DPIQA_BT709_FULL;
        default: return DPIQA_COLOUR_NONE;
    }
}

/* Describes the first picture of a surface; NULL, or a sentence that says why it cannot be scored. */
static const char *describe(const NvBufSurface *surface, dpiqa_frame *frame) {
    if (surface->numFilled == 0) return "a buffer holds no picture";
    const NvBufSurfaceParams *picture = &surface->surfaceList[0];
    if (surface->memType != NVBUF_MEM_CUDA_DEVICE && surface->memType != NVBUF_MEM_CUDA_UNIFIED)
        return "the pictures are not in CUDA memory, nvvideoconvert needs nvbuf-memory-type=nvbuf-mem-cuda-device";
    if (picture->layout != NVBUF_LAYOUT_PITCH) return "the pictures are tiled, nvvideoconvert brings them into rows";
    *frame = (dpiqa_frame){.struct_size = sizeof *frame,
                           .format = DPIQA_NV12,
                           .colour = colour_of(picture->colorFormat),
                           .memory = DPIQA_DEVICE,
                           .width = (int32_t)picture->width,
                           .height = (int32_t)picture->height};
    if (frame->colour == DPIQA_COLOUR_NONE) return "the pictures are not NV12";
    for (int i = 0; i < 2; ++i) {
        frame->planes[i].data = (const char *)picture->dataPtr + picture->planeParams.offset[i];
        frame->planes[i].size = picture->planeParams.psize[i];
        frame->planes[i].pitch = picture->planeParams.pitch[i];
    }
    return NULL;
}

static int score_buffer(dpiqa_scorer *scorer, GstBuffer *buffer, long index) {
    GstMapInfo map;
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return refused("a buffer cannot be mapped");
    dpiqa_frame frame;
    dpiqa_reading reading = DPIQA_INIT(dpiqa_reading);
    const char *sentence = describe((const NvBufSurface *)(const void *)map.data, &frame);
    if (sentence == NULL && dpiqa_score(scorer, &frame, 1, &reading) != DPIQA_OK) sentence = dpiqa_last_error();
    gst_buffer_unmap(buffer, &map);
    if (sentence != NULL) return refused(sentence);
    printf("{\"type\":\"reading\",\"index\":%ld,\"score\":%.3f,\"latency_ms\":{\"infer\":%.3f}}\n", index,
           (double)reading.score, (double)reading.infer_ms);
    return 0;
}

static int score_pipeline(dpiqa_scorer *scorer, GstElement *pipeline) {
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "frames");
    if (sink == NULL) return refused("the pipeline needs an appsink name=frames");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    int status = 0;
    for (long index = 0; status == 0; ++index) {
        GstSample *sample = gst_app_sink_pull_sample(GST_APP_SINK(sink));
        if (sample == NULL) break; /* the end, or an error, which the pipeline itself reports with GST_DEBUG=2 */
        status = score_buffer(scorer, gst_sample_get_buffer(sample), index);
        gst_sample_unref(sample);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(sink);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) return refused("usage: score_nvv4l2 ENGINE PIPELINE");
    gst_init(NULL, NULL);
    dpiqa_scorer *scorer = NULL;
    if (dpiqa_open(argv[1], NULL, &scorer) != DPIQA_OK) return refused(dpiqa_last_error());
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(argv[2], &error);
    int status = 2;
    if (pipeline == NULL)
        refused(error == NULL ? "the pipeline cannot be made" : error->message);
    else
        status = score_pipeline(scorer, pipeline);
    if (error != NULL) g_error_free(error);
    if (pipeline != NULL) gst_object_unref(pipeline);
    dpiqa_close(scorer);
    return status;
}
