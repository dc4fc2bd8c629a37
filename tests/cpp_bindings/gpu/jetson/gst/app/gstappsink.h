#ifndef FAKE_GSTAPPSINK_H
#define FAKE_GSTAPPSINK_H

#include <gst/gst.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef GstElement GstAppSink;
#define GST_APP_SINK(element) (element)
GstSample *gst_app_sink_pull_sample(GstAppSink *sink);

#ifdef __cplusplus
}
#endif

#endif
