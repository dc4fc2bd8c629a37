/* The ABI of libdpiqa, as the policy in dpiqa.h promises it: a build that fails here has changed it. What is added (a
 * function, an enumerator, a field at the end of a struct, with its new size) is added here as well; a line that must be
 * changed otherwise breaks every program out there, and needs a new soname. test_abi.cmake compares the functions with what
 * the library exports. Offsets are those of 64-bit systems. */
#include "dpiqa/dpiqa.h"

#define FUNCTION(result, name, ...) result name(__VA_ARGS__) /* another declaration of it would not compile */
#define VALUE(name, value) _Static_assert(name == (value), "the value of " #name " has changed")
#define HAS_TYPE(type, name, member_type) _Generic(&((type *)0)->name, member_type *: 1, default: 0)
#if UINTPTR_MAX == UINT64_MAX
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "the size of " #type " has changed")
#define FIELD(type, offset, member_type, name) \
    _Static_assert(offsetof(type, name) == (offset) && HAS_TYPE(type, name, member_type), "field " #name " of " #type " has changed")
#else
#define SIZE(type, size) _Static_assert(sizeof(type) <= (size), "the size of " #type " has changed")
#define FIELD(type, offset, member_type, name) _Static_assert(HAS_TYPE(type, name, member_type), "field " #name " of " #type " has changed")
#endif

FUNCTION(int, dpiqa_open, const char *, const dpiqa_options *, dpiqa_scorer **);
FUNCTION(int, dpiqa_open_memory, const void *, size_t, const char *, const dpiqa_options *, dpiqa_scorer **);
FUNCTION(int, dpiqa_describe, const dpiqa_scorer *, dpiqa_info *);
FUNCTION(int, dpiqa_score, dpiqa_scorer *, const dpiqa_frame *, size_t, dpiqa_reading *);
FUNCTION(void, dpiqa_close, dpiqa_scorer *);
FUNCTION(int, dpiqa_frame_fill, dpiqa_frame *, int32_t, int32_t, int32_t, int32_t, const void *, size_t, size_t);
FUNCTION(int, dpiqa_preprocess, const dpiqa_frame *, int32_t, int32_t, uint8_t *, size_t);
FUNCTION(int, dpiqa_meter_open, dpiqa_meter **);
FUNCTION(int, dpiqa_measure, dpiqa_meter *, const dpiqa_frame *, dpiqa_signals *);
FUNCTION(void, dpiqa_meter_close, dpiqa_meter *);
FUNCTION(const char *, dpiqa_last_error, void);
FUNCTION(void, dpiqa_set_log, dpiqa_log_callback, void *);
FUNCTION(const char *, dpiqa_version, void);

typedef const void *ptr;
typedef const char *text;
typedef const char *const *texts;
typedef void *handle;
typedef float *floats;
typedef dpiqa_plane planes[3];

FIELD(dpiqa_plane, 0, ptr, data);
FIELD(dpiqa_plane, 8, size_t, size);
FIELD(dpiqa_plane, 16, size_t, pitch);
SIZE(dpiqa_plane, 24);

FIELD(dpiqa_frame, 0, size_t, struct_size);
FIELD(dpiqa_frame, 8, int32_t, format);
FIELD(dpiqa_frame, 12, int32_t, colour);
FIELD(dpiqa_frame, 16, int32_t, memory);
FIELD(dpiqa_frame, 20, int32_t, width);
FIELD(dpiqa_frame, 24, int32_t, height);
FIELD(dpiqa_frame, 28, int32_t, reserved);
FIELD(dpiqa_frame, 32, planes, planes);
FIELD(dpiqa_frame, 104, handle, stream);
FIELD(dpiqa_frame, 112, handle, event);
SIZE(dpiqa_frame, 120);

FIELD(dpiqa_options, 0, size_t, struct_size);
FIELD(dpiqa_options, 8, text, engine);
FIELD(dpiqa_options, 16, int32_t, threads);
FIELD(dpiqa_options, 20, int32_t, requests);
FIELD(dpiqa_options, 24, int32_t, throughput);
FIELD(dpiqa_options, 28, int32_t, force_float32);
FIELD(dpiqa_options, 32, int32_t, unverified);
FIELD(dpiqa_options, 36, int32_t, max_wait_ms);
FIELD(dpiqa_options, 40, text, cache);
SIZE(dpiqa_options, 48);

FIELD(dpiqa_info, 0, size_t, struct_size);
FIELD(dpiqa_info, 8, text, name);
FIELD(dpiqa_info, 16, text, version);
FIELD(dpiqa_info, 24, text, precision);
FIELD(dpiqa_info, 32, text, scale);
FIELD(dpiqa_info, 40, text, engine);
FIELD(dpiqa_info, 48, text, contract);
FIELD(dpiqa_info, 56, texts, causes);
FIELD(dpiqa_info, 64, int32_t, cause_count);
FIELD(dpiqa_info, 68, int32_t, width);
FIELD(dpiqa_info, 72, int32_t, height);
FIELD(dpiqa_info, 76, int32_t, map_width);
FIELD(dpiqa_info, 80, int32_t, map_height);
FIELD(dpiqa_info, 84, int32_t, requests);
FIELD(dpiqa_info, 88, float, score_minimum);
FIELD(dpiqa_info, 92, float, score_maximum);
SIZE(dpiqa_info, 96);

FIELD(dpiqa_reading, 0, size_t, struct_size);
FIELD(dpiqa_reading, 8, float, score);
FIELD(dpiqa_reading, 12, int32_t, void_kind);
FIELD(dpiqa_reading, 16, float, preprocess_ms);
FIELD(dpiqa_reading, 20, float, infer_ms);
FIELD(dpiqa_reading, 24, floats, causes);
FIELD(dpiqa_reading, 32, floats, map);
FIELD(dpiqa_reading, 40, int32_t, map_width);
FIELD(dpiqa_reading, 44, int32_t, map_height);
SIZE(dpiqa_reading, 48);

FIELD(dpiqa_signals, 0, size_t, struct_size);
FIELD(dpiqa_signals, 8, float, focus);
FIELD(dpiqa_signals, 12, float, brightness);
FIELD(dpiqa_signals, 16, float, clipped_low);
FIELD(dpiqa_signals, 20, float, clipped_high);
FIELD(dpiqa_signals, 24, float, contrast);
FIELD(dpiqa_signals, 28, float, noise);
FIELD(dpiqa_signals, 32, float, blockiness);
FIELD(dpiqa_signals, 36, float, difference);
SIZE(dpiqa_signals, 40);

VALUE(DPIQA_OK, 0);
VALUE(DPIQA_ERROR_INPUT, -1);
VALUE(DPIQA_ERROR_CONTRACT, -2);
VALUE(DPIQA_ERROR_ENGINE, -3);
VALUE(DPIQA_ERROR_MEMORY, -4);
VALUE(DPIQA_ERROR_INTERNAL, -5);
VALUE(DPIQA_BGR, 1);
VALUE(DPIQA_RGB, 2);
VALUE(DPIQA_GRAY, 3);
VALUE(DPIQA_NV12, 4);
VALUE(DPIQA_I420, 5);
VALUE(DPIQA_YUYV, 6);
VALUE(DPIQA_UYVY, 7);
VALUE(DPIQA_RGBA, 8);
VALUE(DPIQA_P010, 9);
VALUE(DPIQA_COLOUR_NONE, 0);
VALUE(DPIQA_BT601_LIMITED, 1);
VALUE(DPIQA_BT601_FULL, 2);
VALUE(DPIQA_BT709_LIMITED, 3);
VALUE(DPIQA_BT709_FULL, 4);
VALUE(DPIQA_HOST, 0);
VALUE(DPIQA_DEVICE, 1);
VALUE(DPIQA_VOID_IGNORED, -1);
VALUE(DPIQA_NOT_VOID, 0);
VALUE(DPIQA_VOID_BLACK, 1);
VALUE(DPIQA_VOID_WHITE, 2);
VALUE(DPIQA_VOID_FLAT, 3);
VALUE(DPIQA_LOG_INFO, 1);
VALUE(DPIQA_LOG_WARNING, 2);
VALUE(DPIQA_LOG_ERROR, 3);
