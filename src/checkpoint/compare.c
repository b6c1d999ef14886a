#include "checkpoint/lines.h"
#include "checkpoint/manifest.h"
#include "checkpoint/open.h"

#include <inttypes.h>
#include <string.h>

/* The walks over a pair of tensors, from pair to pair. */
typedef struct walks {
    weft_lines a, b;
} walks;

typedef struct difference {
    int64_t element; /* -1: none */
    const unsigned char *values[2];
} difference;

static void print_value(const unsigned char *bytes, weft_text *out)
{
    float value;
    uint32_t bits;
    memcpy(&value, bytes, sizeof value);
    memcpy(&bits, bytes, sizeof bits);
    weft_text_add(out, "%.9g (0x%08" PRIx32 ")", (double)value, bits);
}

static size_t first_difference(const unsigned char *left, const unsigned char *right)
{
    size_t at = 0;
    while (left[at] == right[at]) at++;
    return at / sizeof(float);
}

/* The first element whose bits differ: over each stretch that lies in one line of either. */
static weft_status find_difference(walks *over, const weft_stored_tensor *a, const weft_stored_tensor *b,
                                   difference *out, weft_error *error)
{
    TRY(weft_lines_begin(&over->a, a, error));
    TRY(weft_lines_begin(&over->b, b, error));
    weft_line left = {0}, right = {0};
    *out = (difference){.element = -1};
    for (int64_t at = 0, next = 0; at < a->pieces->elements && out->element < 0; at = next) {
        if (left.end == at) weft_lines_next(&over->a, &left);
        if (right.end == at) weft_lines_next(&over->b, &right);
        next = left.end < right.end ? left.end : right.end;
        const unsigned char *mine = left.values + (size_t)(at - left.from) * sizeof(float);
        const unsigned char *other = right.values + (size_t)(at - right.from) * sizeof(float);
        if (memcmp(mine, other, (size_t)(next - at) * sizeof(float)) == 0) continue;
        size_t skip = first_difference(mine, other);
        *out = (difference){at + (int64_t)skip, {mine + skip * sizeof(float), other + skip * sizeof(float)}};
    }
    return WEFT_OK;
}

static void print_shape(const weft_stored_piece *piece, weft_text *out)
{
    weft_shape_print(piece->dimensions, piece->shape, out);
}

static void print_difference(const weft_stored_piece *piece, const char *kind, const difference *found, weft_text *out)
{
    weft_text_add(out, "%s of \"%s\" differ first at element %" PRId64, kind, piece->name, found->element);
    if (piece->dimensions > 1) {
        int64_t columns = weft_extent_width(piece->dimensions, piece->shape);
        weft_text_add(out, " (row %" PRId64 ", column %" PRId64 ")", found->element / columns,
                      found->element % columns);
    }
    weft_text_add(out, ": ");
    print_value(found->values[0], out);
    weft_text_add(out, " and ");
    print_value(found->values[1], out);
}

/* Appends what differs; nothing when the tensors are the same. */
static weft_status compare_tensors(walks *over, const weft_stored_tensor *a, const weft_stored_tensor *b,
                                   const char *kind, weft_text *out, weft_error *error)
{
    const weft_stored_piece *left = a->pieces, *right = b->pieces;
    if (left->dimensions != right->dimensions || memcmp(left->shape, right->shape, sizeof left->shape) != 0) {
        weft_text_add(out, "%s of \"%s\" differ in shape: ", kind, left->name);
        print_shape(left, out);
        weft_text_add(out, " and ");
        print_shape(right, out);
        return WEFT_OK;
    }
    difference found;
    TRY(find_difference(over, a, b, &found, error));
    if (found.element >= 0) print_difference(left, kind, &found, out);
    return WEFT_OK;
}

/* Walks both sorted lists; stops at the first difference. */
static weft_status compare_kind(walks *over, const weft_checkpoint *a, const weft_checkpoint *b,
                                weft_checkpoint_kind kind, weft_text *out, weft_error *error)
{
    size_t i = 0, j = 0, before = out->length;
    const weft_pieces *left = weft_checkpoint_pieces(a, kind), *right = weft_checkpoint_pieces(b, kind);
    const char *word = weft_checkpoint_kind_name(kind);
    while (out->length == before && !out->failed && (i < left->tensor_count || j < right->tensor_count)) {
        const char *mine = i < left->tensor_count ? left->tensors[i].pieces->name : NULL;
        const char *other = j < right->tensor_count ? right->tensors[j].pieces->name : NULL;
        int order = !mine ? 1 : !other ? -1 : strcmp(mine, other);
        if (order == 0)
            TRY(compare_tensors(over, &left->tensors[i++], &right->tensors[j++], word, out, error));
        else
            weft_text_add(out, "%s of \"%s\" are in %s only", word, order < 0 ? mine : other,
                          weft_checkpoint_path(order < 0 ? a : b));
    }
    return WEFT_OK;
}

/* Appends what differs in what steps to come are judged by, where both runs skip steps. */
static void compare_skips(const weft_checkpoint_skips *a, const weft_checkpoint_skips *b, weft_text *out)
{
    if (a->count == 0 || b->count == 0) return;
    if (a->skipped != b->skipped || a->in_a_row != b->in_a_row)
        weft_text_add(out,
                      "skipped steps differ: %" PRId64 ", %" PRId64 " of them the last in a row, and %" PRId64
                      ", %" PRId64 " of them the last",
                      a->skipped, a->in_a_row, b->skipped, b->in_a_row);
    else if (a->count != b->count || memcmp(a->losses, b->losses, (size_t)a->count * sizeof *a->losses) != 0 ||
             memcmp(a->norms, b->norms, (size_t)a->count * sizeof *a->norms) != 0)
        weft_text_add(out, "the losses and norms that steps to come are compared with differ");
}

static weft_status compare_open(const weft_checkpoint *a, const weft_checkpoint *b, bool *out_same, weft_text *out_text,
                                weft_error *error)
{
    size_t before = out_text->length;
    int64_t steps[2] = {weft_checkpoint_get_state(a)->step, weft_checkpoint_get_state(b)->step};
    if (steps[0] != steps[1]) weft_text_add(out_text, "steps differ: %" PRId64 " and %" PRId64, steps[0], steps[1]);
    if (out_text->length == before)
        compare_skips(&weft_checkpoint_get_state(a)->skips, &weft_checkpoint_get_state(b)->skips, out_text);
    walks over = {0};
    weft_status status = WEFT_OK;
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS && out_text->length == before && status == WEFT_OK; kind++)
        status = compare_kind(&over, a, b, (weft_checkpoint_kind)kind, out_text, error);
    weft_lines_fini(&over.a);
    weft_lines_fini(&over.b);
    if (status == WEFT_OK) status = weft_text_check(out_text, error);
    if (status != WEFT_OK) return status;
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
