#include "convert/leaving.h"

#include "convert/place.h"

#include <math.h>

static weft_status read_config(weft_run_source *source, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/config.json", weft_text_get(&source->path));
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_document_read(&source->read, weft_text_get(&path), error);
    weft_text_fini(&path);
    if (status != WEFT_OK) return status;
    source->folder = weft_text_get(&source->path);
    source->document = &source->read;
    return WEFT_OK;
}

weft_status weft_run_source_open(const char *checkpoint, weft_run_source *out, weft_error *error)
{
    *out = (weft_run_source){.folder = NULL};
    weft_text_init(&out->path);
    weft_place_source(checkpoint, &out->path);
    weft_status status = weft_text_check(&out->path, error);
    if (status == WEFT_OK && out->path.length > 0) status = read_config(out, error);
    if (status != WEFT_OK) weft_run_source_close(out);
    return status;
}

void weft_run_source_close(weft_run_source *source)
{
    if (source->document) weft_document_fini(&source->read);
    weft_text_fini(&source->path);
}

weft_status weft_values_check(const char *tensor, const float *values, int64_t count, float largest, weft_error *error)
{
    for (int64_t i = 0; i < count; i++) {
        if (fabsf(values[i]) <= largest) continue;
        FAIL(error, WEFT_INVALID, "\"%s\" holds %g, which %s: nothing is exported", tensor, (double)values[i],
             isfinite(values[i]) ? "this type does not reach (f32 does)" : "is not finite");
    }
    return WEFT_OK;
}
