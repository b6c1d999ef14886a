#include "checkpoint/pieces.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MARK = '#' }; /* in names of parts only */

/* False when a size is negative or the tensor larger than memory can be. */
static bool count_elements(int32_t dimensions, const int64_t *shape, int64_t *out)
{
    int64_t most = (int64_t)(PTRDIFF_MAX / sizeof(float));
    *out = 1;
    for (int32_t i = 0; i < dimensions; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(*out, shape[i], out) || *out > most) return false;
    return true;
}

static void print_name(const char *name, int32_t dimensions, const int64_t *shape, int64_t from, weft_text *out)
{
    weft_text_add(out, "%s%c", name, MARK);
    for (int32_t i = 0; i < dimensions; i++) weft_text_add(out, "%s%" PRId64, i ? "x" : "", shape[i]);
    weft_text_add(out, "@%" PRId64, from);
}

static weft_status copy_part_name(const weft_checkpoint_piece *piece, weft_arena *arena, const char **out,
                                  weft_error *error)
{
    weft_text name;
    weft_text_init(&name);
    print_name(piece->name, piece->dimensions, piece->shape, piece->from, &name);
    weft_status status = weft_text_check(&name, error);
    if (status == WEFT_OK) status = weft_arena_text(arena, weft_text_get(&name), out, error);
    weft_text_fini(&name);
    return status;
}

weft_status weft_piece_entry(const weft_checkpoint_piece *piece, weft_arena *arena, weft_tensor_entry *out,
                             weft_error *error)
{
    int64_t elements = 0;
    if (!piece->name || strchr(piece->name, MARK))
        FAIL(error, WEFT_INVALID, "tensor \"%s\": a name with %c cannot be in a checkpoint",
             piece->name ? piece->name : "", MARK);
    if (piece->dimensions < 0 || piece->dimensions > WEFT_TENSOR_DIMENSIONS ||
        !count_elements(piece->dimensions, piece->shape, &elements))
        FAIL(error, WEFT_INVALID, "tensor \"%s\": at most %d sizes that memory can hold make a shape", piece->name,
             WEFT_TENSOR_DIMENSIONS);
    if (piece->from < 0 || piece->count < 0 || piece->count > elements || piece->from > elements - piece->count)
        FAIL(error, WEFT_INVALID,
             "tensor \"%s\": %" PRId64 " elements from element %" PRId64 " are not all in its %" PRId64, piece->name,
             piece->count, piece->from, elements);
    *out = (weft_tensor_entry){.name = piece->name,
                               .element = WEFT_FP32,
                               .data = piece->values,
                               .bytes = (size_t)piece->count * sizeof(float)};
    if (piece->count == elements) {
        out->dimensions = piece->dimensions;
        for (int32_t i = 0; i < piece->dimensions; i++) out->shape[i] = piece->shape[i];
        return WEFT_OK;
    }
    out->dimensions = 1;
    out->shape[0] = piece->count;
    return copy_part_name(piece, arena, &out->name, error);
}

/* The numbers of SHAPE@FROM; whether they are spelt as print_name does is for the caller to see. */
static bool parse_numbers(const char *text, weft_stored_piece *out)
{
    char *end = NULL;
    do {
        if (out->dimensions == WEFT_TENSOR_DIMENSIONS || *text == '-') return false;
        out->shape[out->dimensions++] = strtoll(text, &end, 10);
        text = end + 1;
    } while (*end == 'x');
    if (*end != '@' || *text == '-') return false;
    out->from = strtoll(text, &end, 10);
    return *end == '\0';
}

/* Every name has one reading and every part one name: what is read is printed again and must be the same. */
static weft_status parse_name(weft_pieces *list, const char *stored, weft_stored_piece *out, bool *out_good,
                              weft_error *error)
{
    const char *mark = strchr(stored, MARK);
    char *name = NULL;
    *out_good = mark > stored && parse_numbers(mark + 1, out);
    if (!*out_good) return WEFT_OK;
    TRY(weft_arena_take(&list->arena, (size_t)(mark - stored) + 1, 1, &name, error));
    memcpy(name, stored, (size_t)(mark - stored));
    out->name = name;
    weft_text again;
    weft_text_init(&again);
    print_name(name, out->dimensions, out->shape, out->from, &again);
    weft_status status = weft_text_check(&again, error);
    *out_good = status == WEFT_OK && strcmp(weft_text_get(&again), stored) == 0;
    weft_text_fini(&again);
    return status;
}

static weft_status read_part(weft_pieces *list, const weft_tensor_entry *entry, const char *folder, const char *file,
                             weft_stored_piece *out, weft_error *error)
{
    bool good = false;
    TRY(parse_name(list, entry->name, out, &good, error));
    if (!good)
        FAIL(error, WEFT_INVALID, "%s/%s: tensor \"%s\": no part of a tensor is named so, only NAME%cSHAPE@FROM",
             folder, file, entry->name, MARK);
    if (entry->dimensions != 1 || entry->shape[0] == 0)
        FAIL(error, WEFT_INVALID, "%s/%s: tensor \"%s\": a part has one dimension and at least one element", folder,
             file, entry->name);
    if (!count_elements(out->dimensions, out->shape, &out->elements))
        FAIL(error, WEFT_INVALID, "%s/%s: tensor \"%s\": the shape in its name is too large for any file", folder, file,
             entry->name);
    out->count = entry->shape[0];
    if (out->count > out->elements || out->from > out->elements - out->count)
        FAIL(error, WEFT_INVALID,
             "%s/%s: tensor \"%s\": its %" PRId64 " elements are not all in the %" PRId64 " of the shape in its name",
             folder, file, entry->name, out->count, out->elements);
    return WEFT_OK;
}

static weft_status read_entry(weft_pieces *list, const weft_tensor_entry *entry, const char *folder, const char *file,
                              weft_stored_piece *out, weft_error *error)
{
    *out = (weft_stored_piece){.name = entry->name, .file = file, .values = entry->data};
    if (entry->element != WEFT_FP32)
        FAIL(error, WEFT_INVALID, "%s/%s: tensor \"%s\" is %s, but checkpoints hold fp32 only", folder, file,
             entry->name, weft_element_name(entry->element));
    if (strchr(entry->name, MARK)) return read_part(list, entry, folder, file, out, error);
    out->dimensions = entry->dimensions;
    memcpy(out->shape, entry->shape, sizeof out->shape);
    out->elements = out->count = (int64_t)(entry->bytes / sizeof(float));
    return WEFT_OK;
}

weft_status weft_pieces_add(weft_pieces *list, const weft_safetensors *tensors, const char *folder, const char *file,
                            weft_error *error)
{
    size_t count = weft_safetensors_count(tensors);
    TRY(weft_grow(&list->pieces, &list->capacity, list->count + count, sizeof *list->pieces, error));
    for (size_t i = 0; i < count; i++)
        TRY(read_entry(list, weft_safetensors_get(tensors, i), folder, file, &list->pieces[list->count++], error));
    return WEFT_OK;
}

static int by_place(const void *a, const void *b)
{
    const weft_stored_piece *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order == 0) order = (left->from > right->from) - (left->from < right->from);
    return order ? order : strcmp(left->file, right->file);
}

static weft_status shapes_differ(const weft_stored_piece *a, const weft_stored_piece *b, const char *folder,
                                 const char *kind, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_shape_print(a->dimensions, a->shape, &text);
    weft_text_add(&text, " by %s and ", a->file);
    weft_shape_print(b->dimensions, b->shape, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK)
        status = weft_fail(error, WEFT_INVALID, "%s: %s of \"%s\" have the shape %s by %s", folder, kind, a->name,
                           weft_text_get(&text), b->file);
    weft_text_fini(&text);
    return status;
}

static weft_status missing(const weft_stored_piece *first, int64_t from, int64_t end, const char *folder,
                           const char *kind, weft_error *error)
{
    FAIL(error, WEFT_INVALID, "%s: incomplete: %s of \"%s\" lack elements %" PRId64 " to %" PRId64 " of 0 to %" PRId64,
         folder, kind, first->name, from, end - 1, first->elements - 1);
}

/* Two wholes of a tensor without elements hold nothing twice, but one of them is too many. */
static weft_status given_twice(const weft_stored_piece *a, const weft_stored_piece *b, const char *folder,
                               const char *kind, weft_error *error)
{
    int64_t ends[] = {a->from + a->count, b->from + b->count};
    if (a->elements == 0)
        FAIL(error, WEFT_INVALID, "%s: %s of \"%s\" are both in %s and in %s", folder, kind, a->name, a->file, b->file);
    FAIL(error, WEFT_INVALID, "%s: elements %" PRId64 " to %" PRId64 " of %s of \"%s\" are both in %s and in %s",
         folder, b->from, (ends[0] < ends[1] ? ends[0] : ends[1]) - 1, kind, a->name, a->file, b->file);
}

static weft_status prove_tensor(const weft_stored_tensor *tensor, const char *folder, const char *kind,
                                weft_error *error)
{
    const weft_stored_piece *pieces = tensor->pieces;
    int64_t end = 0;
    for (size_t i = 0; i < tensor->count; i++) {
        const weft_stored_piece *piece = &pieces[i];
        if (piece->dimensions != pieces->dimensions || memcmp(piece->shape, pieces->shape, sizeof piece->shape) != 0)
            return shapes_differ(pieces, piece, folder, kind, error);
        if (piece->from > end) return missing(piece, end, piece->from, folder, kind, error);
        if (i > 0 && (piece->from < end || piece->elements == 0))
            return given_twice(piece - 1, piece, folder, kind, error);
        end = piece->from + piece->count;
    }
    return end < pieces->elements ? missing(pieces, end, pieces->elements, folder, kind, error) : WEFT_OK;
}

weft_status weft_pieces_prove(weft_pieces *list, const char *folder, const char *kind, weft_error *error)
{
    if (list->count) qsort(list->pieces, list->count, sizeof *list->pieces, by_place);
    for (size_t i = 0; i < list->count;) {
        const weft_stored_piece *first = &list->pieces[i];
        weft_stored_tensor tensor = {.pieces = first};
        for (; i < list->count && strcmp(list->pieces[i].name, first->name) == 0; i++) tensor.count++;
        TRY(prove_tensor(&tensor, folder, kind, error));
        TRY(weft_grow(&list->tensors, &list->tensor_capacity, list->tensor_count + 1, sizeof tensor, error));
        list->tensors[list->tensor_count++] = tensor;
    }
    return WEFT_OK;
}

static int by_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const weft_stored_tensor *)tensor)->pieces->name);
}

const weft_stored_tensor *weft_pieces_find(const weft_pieces *list, const char *name)
{
    if (list->tensor_count == 0) return NULL;
    return bsearch(name, list->tensors, list->tensor_count, sizeof *list->tensors, by_name);
}

void weft_pieces_fini(weft_pieces *list)
{
    weft_free(list->pieces);
    weft_free(list->tensors);
    weft_arena_fini(&list->arena);
    *list = (weft_pieces){0};
}

void weft_shape_print(int32_t dimensions, const int64_t *shape, weft_text *out)
{
    weft_text_add(out, "(");
    for (int32_t i = 0; i < dimensions; i++) weft_text_add(out, "%s%" PRId64, i ? ", " : "", shape[i]);
    weft_text_add(out, ")");
}
