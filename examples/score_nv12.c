/* Scores raw NV12 video from standard input and prints one JSON object a frame:
 *   ffmpeg -i clip.mp4 -f rawvideo -pix_fmt nv12 - | score_nv12 model.onnx 1920 1080
 * A fourth argument names the colour: bt601-limited, bt601-full, bt709-limited (default), bt709-full. */
#include <dpiqa/dpiqa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(void) {
    fprintf(stderr, "score_nv12: %s\n", dpiqa_last_error());
    return 2;
}

static int32_t colour_named(const char *name) {
    static const char *const names[] = {"bt601-limited", "bt601-full", "bt709-limited", "bt709-full"};
    for (int32_t i = 0; i < 4; ++i)
        if (strcmp(name, names[i]) == 0) return i + 1;
    return DPIQA_COLOUR_NONE;
}

static const char *const void_names[] = {"null", "\"black\"", "\"white\"", "\"flat\""};

static int score_stream(dpiqa_scorer *scorer, int32_t width, int32_t height, int32_t colour, uint8_t *buffer, size_t size) {
    dpiqa_frame frame;
    if (dpiqa_frame_init(&frame, DPIQA_NV12, colour, width, height, buffer, size, 0) != DPIQA_OK) return failed();
    for (long index = 0;; ++index) {
        const size_t got = fread(buffer, 1, size, stdin);
        if (got == 0) return 0;
        if (got != size) {
            fprintf(stderr, "score_nv12: standard input ends within frame %ld (%zu of %zu bytes)\n", index, got, size);
            return 2;
        }
        dpiqa_reading reading = DPIQA_INIT(dpiqa_reading);
        if (dpiqa_score(scorer, &frame, 1, &reading) != DPIQA_OK) return failed();
        printf("{\"type\":\"reading\",\"index\":%ld,\"score\":%.3f,\"void\":%s,\"latency_ms\":{\"preprocess\":%.3f,\"infer\":%.3f}}\n", index,
               (double)reading.score, void_names[reading.void_kind], (double)reading.preprocess_ms, (double)reading.infer_ms);
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: score_nv12 MODEL WIDTH HEIGHT [COLOUR] < frames.nv12\n");
        return 2;
    }
    const long width = strtol(argv[2], NULL, 10), height = strtol(argv[3], NULL, 10);
    if (width < 1 || width > 16384 || height < 1 || height > 16384) {
        fprintf(stderr, "score_nv12: %s x %s is not a frame size\n", argv[2], argv[3]);
        return 2;
    }
    dpiqa_scorer *scorer = NULL;
    /* the same score on every CPU, with bfloat16 or without */
    const dpiqa_options options = {.struct_size = sizeof options, .force_float32 = 1};
    if (dpiqa_open(argv[1], &options, &scorer) != DPIQA_OK) return failed();
    const size_t size = (size_t)width * (size_t)height * 3 / 2;
    uint8_t *buffer = malloc(size);
    const int32_t colour = colour_named(argc == 5 ? argv[4] : "bt709-limited");
    const int status = buffer == NULL ? 2 : score_stream(scorer, (int32_t)width, (int32_t)height, colour, buffer, size);
    free(buffer);
    dpiqa_close(scorer);
    return status;
}
