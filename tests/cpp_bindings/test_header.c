/* The public header is C: a C compiler takes it, and a C program can use it. */
#include "dpiqa/dpiqa.h"

int zeroed_options_open_from_c(const char *path) {
    dpiqa_options options = DPIQA_INIT(dpiqa_options);
    dpiqa_scorer *scorer = NULL;
    int status = dpiqa_open(path, &options, &scorer);
    dpiqa_close(scorer);
    return status;
}
