#include "cli/event_file.h"

#include "base/clock.h"
#include "base/file.h"
#include "report/tensorboard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "events.out.tfevents.";

enum { DIGITS = 10 };

static const int64_t most_number = 9999999999;

void weft_event_file_init(weft_event_file *file)
{
    *file = (weft_event_file){.descriptor = -1};
    weft_text_init(&file->bytes);
}

/* Of a name of event files, as far as digits go; 0 for another name. */
static int64_t number_of(const char *name)
{
    int64_t number = 0;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return 0;
    name += sizeof prefix - 1;
    for (int i = 0; i < DIGITS && *name >= '0' && *name <= '9'; i++) number = number * 10 + (*name++ - '0');
    return number;
}

/* The date, as TensorBoard's own writers have it, or one more than the last that is there. */
static weft_status choose_number(const char *folder, int64_t *out, weft_error *error)
{
    weft_arena arena;
    const char **names = NULL;
    size_t count = 0;
    weft_arena_init(&arena);
    weft_status status = weft_folder_list(folder, &arena, &names, &count, error);
    *out = (int64_t)weft_clock_date();
    for (size_t i = 0; i < count; i++)
        if (number_of(names[i]) >= *out) *out = number_of(names[i]) + 1;
    weft_arena_fini(&arena);
    if (status == WEFT_OK && *out > most_number)
        FAIL(error, WEFT_FAILED, "%s: no number is left for another event file: remove the last one", folder);
    return status;
}

static weft_status flush(weft_event_file *file, weft_error *error)
{
    TRY(weft_text_check(&file->bytes, error));
    return weft_file_write_all(file->descriptor, weft_text_get(&file->bytes), file->bytes.length, file->path, error);
}

weft_status weft_event_file_begin(weft_event_file *file, const char *folder, int64_t resumed_step, weft_error *error)
{
    int64_t number = 0;
    TRY(choose_number(folder, &number, error));
    snprintf(file->path, sizeof file->path, "%s/%s%0*lld.weft", folder, prefix, DIGITS, (long long)number);
    TRY(weft_file_create(file->path, &file->descriptor, error));
    weft_tensorboard_begin(weft_clock_date(), resumed_step + 1, &file->bytes);
    return flush(file, error);
}

weft_status weft_event_file_step(weft_event_file *file, const weft_step_record *record, weft_error *error)
{
    if (file->descriptor < 0) return WEFT_OK;
    file->bytes.length = 0;
    weft_tensorboard_step(weft_clock_date(), record, &file->bytes);
    return flush(file, error);
}

weft_status weft_event_file_evaluation(weft_event_file *file, const weft_evaluation_record *record, weft_error *error)
{
    if (file->descriptor < 0) return WEFT_OK;
    file->bytes.length = 0;
    weft_tensorboard_evaluation(weft_clock_date(), record, &file->bytes);
    return flush(file, error);
}

weft_status weft_event_file_end(weft_event_file *file, weft_error *error)
{
    weft_status status = WEFT_OK;
    if (file->descriptor >= 0 && close(file->descriptor) != 0)
        status = weft_file_fail(error, file->path, "write", errno);
    file->descriptor = -1;
    weft_text_fini(&file->bytes);
    return status;
}
