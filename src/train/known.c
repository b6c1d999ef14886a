#include "train/known.h"

#include <pthread.h>

typedef struct row {
    int64_t B, T;
    int32_t width, threads;
    weft_stage_space space;
} row;

struct weft_known {
    pthread_mutex_t lock;
    row *rows;
    size_t count, capacity;
};

weft_status weft_known_create(weft_known **out, weft_error *error)
{
    TRY(weft_allocate(1, sizeof **out, out, error));
    pthread_mutex_init(&(*out)->lock, NULL);
    return WEFT_OK;
}

void weft_known_destroy(weft_known *known)
{
    if (!known) return;
    pthread_mutex_destroy(&known->lock);
    weft_free(known->rows);
    weft_free(known);
}

static bool find(weft_known *known, row *wanted)
{
    bool found = false;
    pthread_mutex_lock(&known->lock);
    for (size_t i = 0; i < known->count && !found; i++) {
        const row *at = &known->rows[i];
        found =
            at->B == wanted->B && at->T == wanted->T && at->width == wanted->width && at->threads == wanted->threads;
        if (found) *wanted = *at;
    }
    pthread_mutex_unlock(&known->lock);
    return found;
}

/* Two threads may have asked the same; both rows say the same. */
static weft_status keep(weft_known *known, const row *added, weft_error *error)
{
    pthread_mutex_lock(&known->lock);
    weft_status status = weft_grow(&known->rows, &known->capacity, known->count + 1, sizeof *known->rows, error);
    if (status == WEFT_OK) known->rows[known->count++] = *added;
    pthread_mutex_unlock(&known->lock);
    return status;
}

weft_status weft_known_space(weft_known *known, const weft_stage_shape *shape, weft_stage_space *out, weft_error *error)
{
    row wanted = {.B = shape->B, .T = shape->T, .width = shape->slice.width, .threads = shape->options.threads};
    if (!find(known, &wanted)) {
        wanted.space = weft_stage_space_ask(shape);
        TRY(keep(known, &wanted, error));
    }
    *out = wanted.space;
    return WEFT_OK;
}
