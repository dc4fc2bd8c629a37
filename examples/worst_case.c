/* Measures what scoring costs on this machine, at its worst: time, and memory from the first frame to the last.
 *   worst_case MODEL WIDTH HEIGHT [THREADS [FRAMES]]
 * The NV12 frames are made up; every tenth shows nothing, which takes longest to be sure of. THREADS 0 (the default) is the
 * engine's choice; 1000 frames where FRAMES does not say otherwise. Memory is what Linux calls resident. */
#define _POSIX_C_SOURCE 200809L
#include <dpiqa/dpiqa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_FRAMES = 1000000, VOID_EVERY = 10 };

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

/* "VmRSS" or "VmHWM" of this process in MB, 0 where the system does not say. */
static double resident_mb(const char *field) {
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, field, strlen(field)) == 0) kilobytes = strtod(line + strlen(field) + 1, NULL);
    fclose(status);
    return kilobytes / 1024;
}

static int ascending(const void *a, const void *b) {
    const double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static int failed(const char *sentence) {
    fprintf(stderr, "worst_case: %s\n", sentence);
    return 2;
}

/* Pixels that are the same on every machine: texture, or grey with the noise of a covered lens. */
static void fill(uint8_t *pixels, size_t size, size_t luma, int shows_nothing) {
    uint32_t noise = 1;
    for (size_t i = 0; i < size; ++i) {
        noise = noise * 1664525u + 1013904223u;
        const uint32_t level = shows_nothing || i >= luma ? 126 + (noise >> 30) : (uint32_t)(40 + (i / 8 * 37 + i / 15360 * 91) % 160);
        pixels[i] = (uint8_t)level;
    }
}

static int measure(dpiqa_scorer *scorer, const dpiqa_frame frames[2], double *times, long count) {
    double first_mb = 0, tenth_mb = 0;
    for (long i = 0; i < count; ++i) {
        dpiqa_reading reading = DPIQA_INIT(dpiqa_reading);
        const double began = now_ms();
        if (dpiqa_score(scorer, &frames[i % VOID_EVERY == VOID_EVERY - 1], 1, &reading) != DPIQA_OK) return failed(dpiqa_last_error());
        times[i] = now_ms() - began;
        if (i == 0) first_mb = resident_mb("VmRSS");
        if (i == count / 10) tenth_mb = resident_mb("VmRSS");
    }
    printf("first frame, ms      %10.1f\n", times[0]);
    qsort(times, (size_t)count, sizeof *times, ascending);
    printf("frame, median, ms    %10.1f\nframe, p99, ms       %10.1f\nframe, longest, ms   %10.1f\n", times[count / 2],
           times[(count - 1) * 99 / 100], times[count - 1]);
    printf("resident after the first frame, a tenth of them, the last, MB  %.1f %.1f %.1f\n", first_mb, tenth_mb, resident_mb("VmRSS"));
    printf("resident at most, MB %10.1f\n", resident_mb("VmHWM"));
    return 0;
}

int main(int argc, char **argv) {
    const long width = argc > 2 ? strtol(argv[2], NULL, 10) : 0, height = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    const long threads = argc > 4 ? strtol(argv[4], NULL, 10) : 0, count = argc > 5 ? strtol(argv[5], NULL, 10) : 1000;
    if (argc < 4 || argc > 6 || width < 32 || width > 16384 || height < 32 || height > 16384 || threads < 0 || threads > 1024 ||
        count < VOID_EVERY || count > MOST_FRAMES)
        return failed("usage: worst_case MODEL WIDTH HEIGHT [THREADS [FRAMES, 10 to 1000000]]");
    const size_t luma = (size_t)width * (size_t)height, size = luma * 3 / 2;
    uint8_t *pixels = malloc(2 * size);
    double *times = calloc((size_t)count, sizeof *times);
    dpiqa_scorer *scorer = NULL;
    dpiqa_frame frames[2];
    const dpiqa_options options = {.struct_size = sizeof options, .threads = (int32_t)threads, .force_float32 = 1};
    int status = pixels == NULL || times == NULL ? failed("out of memory") : 0;
    for (int i = 0; i < 2 && status == 0; ++i) {
        fill(pixels + (size_t)i * size, size, luma, i);
        if (dpiqa_frame_init(&frames[i], DPIQA_NV12, DPIQA_BT709_LIMITED, (int32_t)width, (int32_t)height,
                             pixels + (size_t)i * size, size, 0) != DPIQA_OK)
            status = failed(dpiqa_last_error());
    }
    const double before_mb = resident_mb("VmRSS"), ready = now_ms();
    if (status == 0 && dpiqa_open(argv[1], &options, &scorer) != DPIQA_OK) status = failed(dpiqa_last_error());
    if (status == 0) {
        const double open_ms = now_ms() - ready;
        printf("%s, %ldx%ld NV12, %ld frames\nresident before and after opening, MB  %.1f %.1f\nopening, ms          %10.1f\n",
               argv[1], width, height, count, before_mb, resident_mb("VmRSS"), open_ms);
        status = measure(scorer, frames, times, count);
    }
    dpiqa_close(scorer);
    free(times);
    free(pixels);
    return status;
}
