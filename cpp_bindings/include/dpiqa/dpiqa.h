/* libdpiqa: blind image and video quality. A frame goes in as the camera gives it, a score comes out.
 *
 * Every function that can fail returns 0 or a negative dpiqa_status; dpiqa_last_error() then holds one sentence that says
 * what is wrong, where, and what to do. No function throws, prints, or ends the process.
 *
 * Threads: any number of threads may call dpiqa_score and dpiqa_describe on one handle at once; they share its inference
 * requests and wait for a free one. dpiqa_close must be the last call on a handle. dpiqa_last_error belongs to the calling
 * thread. After a fork, dpiqa_score refuses a handle that the parent opened (DPIQA_ERROR_ENGINE), and dpiqa_close leaves its
 * memory to the end of the process: open a scorer in the child. A dpiqa_meter is for one thread at a time. dpiqa_set_log may be called at any time; the callback may be called from any thread.
 *
 * ABI: from 0.1 on, a program runs with every later libdpiqa of the same soname without being compiled again. Functions and
 * enumerators are added, never changed, renumbered or removed. A struct that may grow begins with `struct_size` and grows at
 * its end; the library reads and writes no more of it than the program's has, and takes what is not there as zero.
 * dpiqa_plane never grows. A size that no release had, zero included, is refused (DPIQA_ERROR_INPUT), and so is that of a
 * release later than the library. Whatever breaks this raises the soname.
 */
#ifndef DPIQA_H
#define DPIQA_H

#include <stddef.h>
#include <stdint.h>

#define DPIQA_VERSION_MAJOR 1
#define DPIQA_VERSION_MINOR 0
#define DPIQA_VERSION_PATCH 0

#if defined(__GNUC__)
#define DPIQA_API __attribute__((visibility("default")))
#else
#define DPIQA_API
#endif

/* What a struct that may grow begins with: `dpiqa_reading reading = DPIQA_INIT(dpiqa_reading);`, or in C by name together with
 * others: `{.struct_size = sizeof(dpiqa_options), .threads = 1}`. In C++ `dpiqa_reading reading{};` has its size. */
#ifdef __cplusplus
#define DPIQA_STRUCT_SIZE(type) size_t struct_size = sizeof(type)
#define DPIQA_INIT(type) {}
extern "C" {
#else
#define DPIQA_STRUCT_SIZE(type) size_t struct_size
#define DPIQA_INIT(type) {.struct_size = sizeof(type)}
#endif

typedef enum dpiqa_status {
    DPIQA_OK = 0,
    DPIQA_ERROR_INPUT = -1,    /* a frame or an argument that cannot be used */
    DPIQA_ERROR_CONTRACT = -2, /* a model file whose contract is missing, unreadable or out of range */
    DPIQA_ERROR_ENGINE = -3,   /* an engine that cannot run here, or failed while running */
    DPIQA_ERROR_MEMORY = -4,   /* out of memory */
    DPIQA_ERROR_INTERNAL = -5  /* a defect of this library */
} dpiqa_status;

typedef enum dpiqa_format {
    DPIQA_BGR = 1, /* one plane, 3 bytes a pixel */
    DPIQA_RGB = 2,
    DPIQA_GRAY = 3, /* one plane, 1 byte a pixel */
    DPIQA_NV12 = 4, /* a plane Y and a plane of U,V pairs at half size; width and height even */
    DPIQA_I420 = 5, /* planes Y, U, V, the latter two at half size; width and height even */
    DPIQA_YUYV = 6, /* one plane, Y U Y V for two pixels; width even */
    DPIQA_UYVY = 7, /* the same as U Y V Y */
    DPIQA_RGBA = 8, /* one plane, 4 bytes a pixel, the last of which is not looked at */
    DPIQA_P010 = 9  /* NV12 with 2 bytes a sample, little-endian: 10 bits above 6 of zero, or 16 */
} dpiqa_format;

/* The matrix and range of a YUV format. It must be stated: a guess would shift every score. */
typedef enum dpiqa_colour {
    DPIQA_COLOUR_NONE = 0, /* for BGR, RGB, RGBA and GRAY */
    DPIQA_BT601_LIMITED = 1,
    DPIQA_BT601_FULL = 2,
    DPIQA_BT709_LIMITED = 3,
    DPIQA_BT709_FULL = 4
} dpiqa_colour;

typedef enum dpiqa_memory {
    DPIQA_HOST = 0,
    DPIQA_DEVICE = 1 /* CUDA device memory; only the tensorrt engine takes it */
} dpiqa_memory;

typedef struct dpiqa_plane {
    const void *data;
    size_t size;  /* bytes that may be read from `data` */
    size_t pitch; /* bytes from one row to the next */
} dpiqa_plane;

/* A frame as the camera gives it. Both sides are 32 to 16384 pixels. The pixels are only read, during the call. */
typedef struct dpiqa_frame {
    DPIQA_STRUCT_SIZE(struct dpiqa_frame);
    int32_t format; /* dpiqa_format */
    int32_t colour; /* dpiqa_colour */
    int32_t memory; /* dpiqa_memory */
    int32_t width;
    int32_t height;
    int32_t reserved; /* 0 */
    dpiqa_plane planes[3];
    /* Of a frame in device memory that is still being written: scoring waits on the GPU, the caller need not. NULL: it is
     * complete. (cudaStreamLegacy names the default stream.) */
    void *stream; /* cudaStream_t whose work so far writes the pixels */
    void *event;  /* cudaEvent_t, recorded after them */
} dpiqa_frame;

/* Zeroed but for its size (or NULL where taken) it means: the engine that suits the file, lowest latency, the engine's own
 * choices. */
typedef struct dpiqa_options {
    DPIQA_STRUCT_SIZE(struct dpiqa_options);
    const char *engine;      /* NULL or "auto", "openvino", "tensorrt", "executorch" */
    int32_t threads;         /* CPU threads that inference may use, 0 for the engine's choice */
    int32_t requests;        /* inferences in flight at once, 1 to 64, 0 for what suits the engine and the mode */
    int32_t throughput;      /* 0: lowest latency of one frame; 1: most frames a second over all callers */
    int32_t force_float32;   /* 1: FP32 layers are computed in FP32 even where the CPU prefers bfloat16 */
    int32_t unverified;      /* 1: the weights are not compared with their digest; tensorrt compares its engine file always */
    int32_t max_wait_ms;     /* tensorrt: how long a frame may wait for others to fill a batch, 0 to 1000 */
    const char *cache;       /* folder for compiled models, from which the next start is quicker; NULL: none; openvino only */
} dpiqa_options;

/* What an open model is. The strings and arrays live until dpiqa_close. */
typedef struct dpiqa_info {
    DPIQA_STRUCT_SIZE(struct dpiqa_info);
    const char *name;
    const char *version;
    const char *precision; /* "fp32", "fp16" or "int8" */
    const char *scale;     /* what the score means */
    const char *engine;
    const char *contract; /* the whole contract, JSON */
    const char *const *causes;
    int32_t cause_count;
    int32_t width; /* of the tensor that the model takes, its first shape where it has several */
    int32_t height;
    int32_t map_width; /* the largest that a reading may have, 0 where the model gives no map */
    int32_t map_height;
    int32_t requests;
    float score_minimum;
    float score_maximum;
} dpiqa_info;

/* A frame in which there is nothing to see: black, white, or one colour within its noise (runtime/void.py has the rule). */
typedef enum dpiqa_void {
    DPIQA_VOID_IGNORED = -1, /* set it before the call: the rule is not applied, all values are the network's own */
    DPIQA_NOT_VOID = 0, /* also for every frame in device memory, whose pixels are not looked at */
    DPIQA_VOID_BLACK = 1,
    DPIQA_VOID_WHITE = 2,
    DPIQA_VOID_FLAT = 3
} dpiqa_void;

/* What a frame got. A void frame has the lowest score, also everywhere in the map, and no causes. Before the call it is
 * zero but for its size, or `void_kind` is DPIQA_VOID_IGNORED. `causes` and `map` are the caller's to set before the call:
 * NULL, or room for cause_count and for the info's map_height * map_width floats. The rest is written by the call. */
typedef struct dpiqa_reading {
    DPIQA_STRUCT_SIZE(struct dpiqa_reading);
    float score;       /* within the model's scale, higher is better */
    int32_t void_kind; /* dpiqa_void */
    float preprocess_ms;
    float infer_ms;
    float *causes; /* 0 to 1 each, in the contract's order */
    float *map;    /* row by row, on the score's scale */
    int32_t map_width; /* of this frame's map: it follows the frame's shape where the model takes several */
    int32_t map_height;
} dpiqa_reading;

typedef struct dpiqa_scorer dpiqa_scorer;

/* Open a model file. On failure *scorer is NULL. */
DPIQA_API int dpiqa_open(const char *path, const dpiqa_options *options, dpiqa_scorer **scorer);

/* The same for a `.pte` that lies in memory, such as flash, readable until dpiqa_close and aligned to 16 bytes. `name` stands
 * for the file's in messages. Engine "executorch" alone takes it. */
DPIQA_API int dpiqa_open_memory(const void *data, size_t size, const char *name, const dpiqa_options *options,
                                dpiqa_scorer **scorer);

DPIQA_API int dpiqa_describe(const dpiqa_scorer *scorer, dpiqa_info *info);

/* Score `count` frames into `count` readings, each array of structs of one size. When a frame is refused, none is scored and
 * the sentence names it. The engine tensorrt runs frames in batches, of one call and of several threads' calls. */
DPIQA_API int dpiqa_score(dpiqa_scorer *scorer, const dpiqa_frame *frames, size_t count, dpiqa_reading *readings);

/* NULL is allowed. */
DPIQA_API void dpiqa_close(dpiqa_scorer *scorer);

/* Describe a frame whose planes follow each other in one buffer. `pitch` is that of the first plane, 0 for rows without a
 * gap; NV12 and P010 keep it for U,V pairs, I420 halves it. The frame's `struct_size` is set before the call, the rest by it. */
DPIQA_API int dpiqa_frame_fill(dpiqa_frame *frame, int32_t format, int32_t colour, int32_t width, int32_t height,
                               const void *data, size_t size, size_t pitch);

/* The same for a frame that holds nothing yet. */
static inline int dpiqa_frame_init(dpiqa_frame *frame, int32_t format, int32_t colour, int32_t width, int32_t height,
                                   const void *data, size_t size, size_t pitch) {
    if (frame != NULL) frame->struct_size = sizeof *frame;
    return dpiqa_frame_fill(frame, format, colour, width, height, data, size, pitch);
}

/* The resize and colour step alone: RGB rows of `width` pixels into `rgb`, which has room for height * width * 3 bytes. */
DPIQA_API int dpiqa_preprocess(const dpiqa_frame *frame, int32_t width, int32_t height, uint8_t *rgb, size_t size);

/* What can be measured of a frame without a model. All but `blockiness` is measured on the luma (BT.601, full range) of
 * the frame, shrunk by area averaging to a longest side of at most 480 pixels. */
typedef struct dpiqa_signals {
    DPIQA_STRUCT_SIZE(struct dpiqa_signals);
    float focus;        /* standard deviation of the Laplacian over that of the luma plus one level, less noise: 0 or more */
    float brightness;   /* mean luma, 0 to 1 */
    float clipped_low;  /* share of pixels at level 5 or below, 0 to 1 */
    float clipped_high; /* at level 250 or above */
    float contrast;     /* from the 5th to the 95th percentile of the luma, 0 to 1 */
    float noise;        /* Immerkaer's estimate of its standard deviation, of full scale; texture counts as well */
    float blockiness;   /* 0 to 1: steps across a grid of 8 pixels against others, in the middle 512 x 512 at full size */
    float difference;   /* mean absolute difference in luma to the frame before, 0 to 1; -1 without one of equal size */
} dpiqa_signals;

typedef struct dpiqa_meter dpiqa_meter;

/* Measures the frames of one source in their order. On failure *meter is NULL. */
DPIQA_API int dpiqa_meter_open(dpiqa_meter **meter);

/* Nothing is allocated as long as the frames keep their size. Takes frames in host memory. */
DPIQA_API int dpiqa_measure(dpiqa_meter *meter, const dpiqa_frame *frame, dpiqa_signals *signals);

/* NULL is allowed. */
DPIQA_API void dpiqa_meter_close(dpiqa_meter *meter);

/* The sentence of this thread's latest failed call, "" before any. Valid until this thread's next failed call. */
DPIQA_API const char *dpiqa_last_error(void);

typedef enum dpiqa_log_level { DPIQA_LOG_INFO = 1, DPIQA_LOG_WARNING = 2, DPIQA_LOG_ERROR = 3 } dpiqa_log_level;

/* Receives what would otherwise go unsaid. NULL (the default) for silence. */
typedef void (*dpiqa_log_callback)(int level, const char *message, void *user);
DPIQA_API void dpiqa_set_log(dpiqa_log_callback callback, void *user);

/* "1.0.0" */
DPIQA_API const char *dpiqa_version(void);

#ifdef __cplusplus
}
#endif

#endif
