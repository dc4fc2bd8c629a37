/* The part of GStreamer's API that the example uses, declared anew; fake_gstreamer.cpp is behind it. */
#ifndef FAKE_GST_H
#define FAKE_GST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct GstElement GstElement;
typedef struct GstElement GstBin;
typedef struct GstBuffer GstBuffer;
typedef struct GstSample GstSample;
typedef struct {
    char *message;
} GError;
typedef struct {
    uint8_t *data;
    size_t size;
} GstMapInfo;
typedef enum { GST_MAP_READ = 1 } GstMapFlags;
typedef enum { GST_STATE_NULL = 1, GST_STATE_PLAYING = 4 } GstState;
#define GST_BIN(element) (element)

void gst_init(int *argc, char ***argv);
GstElement *gst_parse_launch(const char *description, GError **error);
GstElement *gst_bin_get_by_name(GstBin *bin, const char *name);
int gst_element_set_state(GstElement *element, GstState state);
GstBuffer *gst_sample_get_buffer(GstSample *sample);
int gst_buffer_map(GstBuffer *buffer, GstMapInfo *map, GstMapFlags flags);
void gst_buffer_unmap(GstBuffer *buffer, GstMapInfo *map);
void gst_sample_unref(GstSample *sample);
void gst_object_unref(void *object);
void g_error_free(GError *error);

#ifdef __cplusplus
}
#endif

#endif
