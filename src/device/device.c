#include "base/text.h"
#include "device/kinds.h"

#include <string.h>

const weft_device_kind *const *weft_device_kinds(void)
{
    return weft_device_kind_table;
}

static const weft_device_kind *find(const char *name, size_t length)
{
    for (const weft_device_kind *const *kind = weft_device_kind_table; *kind != NULL; kind++) {
        if (strlen((*kind)->name) == length && memcmp((*kind)->name, name, length) == 0) return *kind;
    }
    return NULL;
}

const weft_device_kind *weft_device_kind_find(const char *name)
{
    return find(name, strlen(name));
}

/* What a kind that is not in every build needs to be in one. */
static const struct {
    const char *name, *needs;
} optional[] = {{"cpu", "oneDNN"}, {"cuda", "the CUDA toolkit"}};

static weft_status no_such_device(const char *text, size_t length, weft_error *error)
{
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        if (strlen(optional[i].name) == length && memcmp(optional[i].name, text, length) == 0)
            FAIL(error, WEFT_INVALID, "no device '%s' in this build: weft was built without %s", text,
                 optional[i].needs);
    }
    FAIL(error, WEFT_INVALID, "no device '%s': there are cpu, cuda and reference", text);
}

weft_status weft_device_parse(const char *text, const weft_device_kind **out, int32_t *out_index, weft_error *error)
{
    const char *number = strchr(text, ':');
    int64_t index = 0;
    const size_t length = number == NULL ? strlen(text) : (size_t)(number - text);
    *out_index = -1;
    *out = find(text, length);
    if (*out == NULL) return no_such_device(text, length, error);
    if (number == NULL) return WEFT_OK;
    if ((*out)->count == NULL)
        FAIL(error, WEFT_INVALID, "there is one %s, without a number: write '%s', not '%s'", (*out)->name, (*out)->name,
             text);
    const int32_t count = (*out)->count();
    if (count == 0) FAIL(error, WEFT_INVALID, "no device '%s': this machine has none of %s", text, (*out)->name);
    if (!weft_parse_int(number + 1, &index) || index < 0 || index >= count)
        FAIL(error, WEFT_INVALID, "no device '%s': this machine has %d of %s, numbered from 0", text, (int)count,
             (*out)->name);
    *out_index = (int32_t)index;
    return WEFT_OK;
}

int32_t weft_device_index(const weft_device_kind *kind, int32_t named, int32_t worker)
{
    if (named >= 0 || kind->count == NULL) return named < 0 ? 0 : named;
    const int32_t count = kind->count();
    return count > 0 ? worker % count : 0;
}

double weft_device_room(const weft_device_kind *kind, int32_t named, int32_t workers)
{
    double bytes = 0.0;
    if (kind->room == NULL || kind->count() == 0) return 0.0;
    if (named >= 0) return kind->room(named);
    for (int32_t i = 0; i < kind->count() && i < workers; i++) bytes += kind->room(i);
    return bytes;
}

void weft_device_divide(weft_device *device, int64_t count, int64_t grain, weft_device_work work, void *context)
{
    if (device->operations->divide)
        device->operations->divide(device, count, grain, work, context);
    else
        work(context, 0, count);
}

weft_status weft_device_check(const weft_device *device, weft_error *error)
{
    if (device->error.status == WEFT_OK) return WEFT_OK;
    FAIL(error, device->error.status, "%s", device->error.text);
}
