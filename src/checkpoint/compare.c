#include "checkpoint/manifest.h"
#include "checkpoint/open.h"

#include <inttypes.h>
#include <string.h>

/* The piece that holds an element, at or behind *at. */
static const weft_stored_piece *piece_of(const weft_stored_tensor *tensor, int64_t element, size_t *at)
{
    while (tensor->pieces[*at].from + tensor->pieces[*at].count <= element) ++*at;
    return &tensor->pieces[*at];
}

static const unsigned char *value_of(const weft_stored_piece *piece, int64_t element)
{
    return piece->values + (size_t)(element - piece->from) * sizeof(float);
}

static void print_value(const weft_stored_tensor *tensor, int64_t element, weft_text *out)
{
    size_t at = 0;
    float value;
    uint32_t bits;
    const unsigned char *bytes = value_of(piece_of(tensor, element, &at), element);
    memcpy(&value, bytes, sizeof value);
    memcpy(&bits, bytes, sizeof bits);
    weft_text_add(out, "%.9g (0x%08" PRIx32 ")", (double)value, bits);
}

static int64_t first_difference(const unsigned char *left, const unsigned char *right)
{
    size_t at = 0;
    while (left[at] == right[at]) at++;
    return (int64_t)(at / sizeof(float));
}

/* The first element whose bits differ, or -1: over each stretch that lies in one piece of either. */
static int64_t differs_at(const weft_stored_tensor *a, const weft_stored_tensor *b)
{
    size_t i = 0, j = 0;
    for (int64_t at = 0, next = 0; at < a->pieces->elements; at = next) {
        const weft_stored_piece *left = piece_of(a, at, &i), *right = piece_of(b, at, &j);
        int64_t ends[] = {left->from + left->count, right->from + right->count};
        next = ends[0] < ends[1] ? ends[0] : ends[1];
        const unsigned char *mine = value_of(left, at), *other = value_of(right, at);
        if (memcmp(mine, other, (size_t)(next - at) * sizeof(float)) != 0) return at + first_difference(mine, other);
    }
    return -1;
}

static void print_shape(const weft_stored_piece *piece, weft_text *out)
{
    weft_shape_print(piece->dimensions, piece->shape, out);
}

/* Appends what differs; nothing when the tensors are the same. */
static void compare_tensors(const weft_stored_tensor *a, const weft_stored_tensor *b, const char *kind, weft_text *out)
{
    const weft_stored_piece *left = a->pieces, *right = b->pieces;
    if (left->dimensions != right->dimensions || memcmp(left->shape, right->shape, sizeof left->shape) != 0) {
        weft_text_add(out, "%s of \"%s\" differ in shape: ", kind, left->name);
        print_shape(left, out);
        weft_text_add(out, " and ");
        print_shape(right, out);
        return;
    }
    int64_t element = differs_at(a, b);
    if (element < 0) return;
    weft_text_add(out, "%s of \"%s\" differ first at element %" PRId64, kind, left->name, element);
    if (left->dimensions > 1) {
        int64_t columns = left->shape[left->dimensions - 1];
        weft_text_add(out, " (row %" PRId64 ", column %" PRId64 ")", element / columns, element % columns);
    }
    weft_text_add(out, ": ");
    print_value(a, element, out);
    weft_text_add(out, " and ");
    print_value(b, element, out);
}

/* Walks both sorted lists; stops at the first difference. */
static void compare_kind(const weft_checkpoint *a, const weft_checkpoint *b, weft_checkpoint_kind kind, weft_text *out)
{
    size_t i = 0, j = 0, before = out->length;
    const weft_pieces *left = weft_checkpoint_pieces(a, kind), *right = weft_checkpoint_pieces(b, kind);
    const char *word = weft_checkpoint_kind_name(kind);
    while (out->length == before && !out->failed && (i < left->tensor_count || j < right->tensor_count)) {
        const char *mine = i < left->tensor_count ? left->tensors[i].pieces->name : NULL;
        const char *other = j < right->tensor_count ? right->tensors[j].pieces->name : NULL;
        int order = !mine ? 1 : !other ? -1 : strcmp(mine, other);
        if (order == 0)
            compare_tensors(&left->tensors[i++], &right->tensors[j++], word, out);
        else
            weft_text_add(out, "%s of \"%s\" are in %s only", word, order < 0 ? mine : other,
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
