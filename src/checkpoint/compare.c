#include "checkpoint/manifest.h"
#include "checkpoint/open.h"

#include <inttypes.h>
#include <string.h>

static void print_value(const weft_tensor_entry *entry, size_t element, weft_text *out)
{
    float value;
    uint32_t bits;
    const unsigned char *at = (const unsigned char *)entry->data + element * sizeof value;
    memcpy(&value, at, sizeof value);
    memcpy(&bits, at, sizeof bits);
    weft_text_add(out, "%.9g (0x%08" PRIx32 ")", (double)value, bits);
}

static size_t first_difference(const weft_tensor_entry *a, const weft_tensor_entry *b)
{
    const unsigned char *left = a->data, *right = b->data;
    size_t at = 0;
    while (left[at] == right[at]) at++;
    return at / sizeof(float);
}

static bool same_bytes(const weft_tensor_entry *a, const weft_tensor_entry *b)
{
    return a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0;
}

/* Appends what differs; nothing when the tensors are the same. */
static void compare_tensors(const weft_tensor_entry *a, const weft_tensor_entry *b, const char *kind, weft_text *out)
{
    if (a->dimensions != b->dimensions || memcmp(a->shape, b->shape, sizeof a->shape) != 0) {
        weft_text_add(out, "%s of \"%s\" differ in shape: ", kind, a->name);
        weft_shape_print(a, out);
        weft_text_add(out, " and ");
        weft_shape_print(b, out);
        return;
    }
    if (same_bytes(a, b)) return;
    size_t element = first_difference(a, b);
    weft_text_add(out, "%s of \"%s\" differ first at element %zu", kind, a->name, element);
    if (a->dimensions > 1) {
        size_t columns = (size_t)a->shape[a->dimensions - 1];
        weft_text_add(out, " (row %zu, column %zu)", element / columns, element % columns);
    }
    weft_text_add(out, ": ");
    print_value(a, element, out);
    weft_text_add(out, " and ");
    print_value(b, element, out);
}

/* Walks both sorted lists; stops at the first difference. */
static void compare_kind(const weft_checkpoint *a, const weft_checkpoint *b, weft_checkpoint_kind kind, weft_text *out)
{
    size_t counts[2] = {0}, i = 0, j = 0, before = out->length;
    const weft_tensor_entry *const *left = weft_checkpoint_tensors(a, kind, &counts[0]);
    const weft_tensor_entry *const *right = weft_checkpoint_tensors(b, kind, &counts[1]);
    const char *name = weft_checkpoint_kind_name(kind);
    while (out->length == before && !out->failed && (i < counts[0] || j < counts[1])) {
        int order = i == counts[0] ? 1 : j == counts[1] ? -1 : strcmp(left[i]->name, right[j]->name);
        if (order == 0)
            compare_tensors(left[i++], right[j++], name, out);
        else
            weft_text_add(out, "%s of \"%s\" are in %s only", name, order < 0 ? left[i]->name : right[j]->name,
                          weft_checkpoint_path(order < 0 ? a : b));
    }
}

static weft_status compare_open(const weft_checkpoint *a, const weft_checkpoint *b, bool *out_same, weft_text *out_text,
                                weft_error *error)
{
    size_t before = out_text->length;
    int64_t steps[2] = {weft_checkpoint_get_state(a)->step, weft_checkpoint_get_state(b)->step};
    if (steps[0] != steps[1]) weft_text_add(out_text, "steps differ: %" PRId64 " and %" PRId64, steps[0], steps[1]);
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS && out_text->length == before && !out_text->failed; kind++)
        compare_kind(a, b, (weft_checkpoint_kind)kind, out_text);
    TRY(weft_text_check(out_text, error));
    *out_same = out_text->length == before;
    return WEFT_OK;
}

weft_status weft_checkpoint_compare(const char *a, const char *b, bool *out_same, weft_text *out_text,
                                    weft_error *error)
{
    *out_same = false;
    weft_checkpoint *left = NULL, *right = NULL;
    weft_status status = weft_checkpoint_open(a, &left, error);
    if (status == WEFT_OK) status = weft_checkpoint_open(b, &right, error);
    if (status == WEFT_OK) status = compare_open(left, right, out_same, out_text, error);
    weft_checkpoint_close(right);
    weft_checkpoint_close(left);
    return status;
}
