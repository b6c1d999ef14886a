#include "checkpoint/lines.h"

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

static weft_status part_entry(const weft_checkpoint_piece *piece, const weft_extent *extent, weft_arena *arena,
                              weft_tensor_entry *out, weft_error *error)
{
    if (extent->rows > 1) out->shape[out->dimensions++] = extent->rows;
    out->shape[out->dimensions++] = extent->columns;
    return copy_part_name(piece, arena, &out->name, error);
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
    weft_extent extent;
    weft_status status = weft_extent_make(elements, weft_extent_width(piece->dimensions, piece->shape), piece->from,
                                          piece->rows, piece->columns, &extent, error);
    if (status != WEFT_OK) {
        weft_error_context(error, "tensor \"%s\"", piece->name);
        return status;
    }
    *out = (weft_tensor_entry){.name = piece->name,
                               .element = WEFT_FP32,
                               .data = piece->values,
                               .bytes = (size_t)(extent.rows * extent.columns) * sizeof(float)};
    if (extent.columns < elements) return part_entry(piece, &extent, arena, out, error);
    out->dimensions = piece->dimensions;
    for (int32_t i = 0; i < piece->dimensions; i++) out->shape[i] = piece->shape[i];
    return WEFT_OK;
}

/* The numbers of SHAPE@FROM; whether they are spelt as print_name does is for the caller to see. */
static bool parse_numbers(const char *text, weft_stored_piece *out, int64_t *out_from)
{
    char *end = NULL;
    do {
        if (out->dimensions == WEFT_TENSOR_DIMENSIONS || *text == '-') return false;
        out->shape[out->dimensions++] = strtoll(text, &end, 10);
        text = end + 1;
    } while (*end == 'x');
    if (*end != '@' || *text == '-') return false;
    *out_from = strtoll(text, &end, 10);
    return *end == '\0';
}

/* Every name has one reading and every part one name: what is read is printed again and must be the same. */
static weft_status parse_name(weft_pieces *list, const char *stored, weft_stored_piece *out, int64_t *out_from,
                              bool *out_good, weft_error *error)
{
    const char *mark = strchr(stored, MARK);
    char *name = NULL;
    *out_good = mark > stored && parse_numbers(mark + 1, out, out_from);
    if (!*out_good) return WEFT_OK;
    TRY(weft_arena_take(&list->arena, (size_t)(mark - stored) + 1, 1, &name, error));
    memcpy(name, stored, (size_t)(mark - stored));
    out->name = name;
    weft_text again;
    weft_text_init(&again);
    print_name(name, out->dimensions, out->shape, *out_from, &again);
    weft_status status = weft_text_check(&again, error);
    *out_good = status == WEFT_OK && strcmp(weft_text_get(&again), stored) == 0;
    weft_text_fini(&again);
    return status;
}

/* Messages are without file and name. */
static weft_status read_part(weft_pieces *list, const weft_tensor_entry *entry, weft_stored_piece *out,
                             weft_error *error)
{
    bool good = false;
    int64_t from = 0;
    TRY(parse_name(list, entry->name, out, &from, &good, error));
    if (!good) FAIL(error, WEFT_INVALID, "no part of a tensor is named so, only NAME%cSHAPE@FROM", MARK);
    if (entry->dimensions < 1 || entry->dimensions > 2 || entry->bytes == 0)
        FAIL(error, WEFT_INVALID, "a part has one dimension or two, and at least one element");
    if (!count_elements(out->dimensions, out->shape, &out->elements))
        FAIL(error, WEFT_INVALID, "the shape in its name is too large for any file");
    bool block = entry->dimensions == 2;
    TRY(weft_extent_make(out->elements, weft_extent_width(out->dimensions, out->shape), from,
                         block ? entry->shape[0] : 1, entry->shape[block], &out->extent, error));
    if (block != (out->extent.rows > 1))
        FAIL(error, WEFT_INVALID, "a part of two dimensions has more than one row, and rows that are not whole");
    return WEFT_OK;
}

static weft_status read_piece(weft_pieces *list, const weft_tensor_entry *entry, weft_stored_piece *out,
                              weft_error *error)
{
    if (entry->element != WEFT_FP32)
        FAIL(error, WEFT_INVALID, "it is %s, but checkpoints hold fp32 only", weft_element_name(entry->element));
    if (strchr(entry->name, MARK)) return read_part(list, entry, out, error);
    out->dimensions = entry->dimensions;
    memcpy(out->shape, entry->shape, sizeof out->shape);
    out->elements = (int64_t)(entry->bytes / sizeof(float));
    return weft_extent_make(out->elements, weft_extent_width(out->dimensions, out->shape), 0, 1, out->elements,
                            &out->extent, error);
}

static weft_status read_entry(weft_pieces *list, const weft_tensor_entry *entry, const char *folder, const char *file,
                              weft_stored_piece *out, weft_error *error)
{
    *out = (weft_stored_piece){.name = entry->name, .file = file, .values = entry->data};
    weft_status status = read_piece(list, entry, out, error);
    if (status != WEFT_OK) weft_error_context(error, "%s/%s: tensor \"%s\"", folder, file, entry->name);
    return status;
}

weft_status weft_pieces_add(weft_pieces *list, const weft_safetensors *tensors, const char *folder, const char *file,
                            weft_error *error)
{
    size_t count = weft_safetensors_count(tensors);
    TRY(weft_grow(&list->pieces, &list->capacity, list->count + count, sizeof *list->pieces, error));
    for (size_t i = 0; i < count; i++) {
        weft_stored_piece *piece = &list->pieces[list->count++];
        TRY(read_entry(list, weft_safetensors_get(tensors, i), folder, file, piece, error));
        piece->holder = tensors;
    }
    return WEFT_OK;
}

static int by_place(const void *a, const void *b)
{
    const weft_stored_piece *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    int64_t from[] = {left->extent.from, right->extent.from};
    if (order == 0) order = (from[0] > from[1]) - (from[0] < from[1]);
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

static weft_status given_twice(const weft_line *a, const weft_line *b, const char *folder, const char *kind,
                               weft_error *error)
{
    FAIL(error, WEFT_INVALID, "%s: elements %" PRId64 " to %" PRId64 " of %s of \"%s\" are both in %s and in %s",
         folder, b->from, (a->end < b->end ? a->end : b->end) - 1, kind, a->piece->name, a->piece->file,
         b->piece->file);
}

/* Pieces of one shape have rows of one width, by which lines are found. Two wholes of a tensor without elements hold
 * nothing twice, but one of them is too many. */
static weft_status prove_shapes(const weft_stored_tensor *tensor, const char *folder, const char *kind,
                                weft_error *error)
{
    const weft_stored_piece *first = tensor->pieces;
    for (const weft_stored_piece *piece = first; piece < first + tensor->count; piece++)
        if (piece->dimensions != first->dimensions || memcmp(piece->shape, first->shape, sizeof piece->shape) != 0)
            return shapes_differ(first, piece, folder, kind, error);
    if (first->elements == 0 && tensor->count > 1)
        FAIL(error, WEFT_INVALID, "%s: %s of \"%s\" are both in %s and in %s", folder, kind, first->name, first->file,
             first[1].file);
    return WEFT_OK;
}

static weft_status prove_tensor(const weft_stored_tensor *tensor, weft_lines *lines, const char *folder,
                                const char *kind, weft_error *error)
{
    const weft_stored_piece *first = tensor->pieces;
    TRY(prove_shapes(tensor, folder, kind, error));
    TRY(weft_lines_begin(lines, tensor, error));
    weft_line last = {0}, line;
    for (; weft_lines_next(lines, &line); last = line) {
        if (line.from > last.end) return missing(first, last.end, line.from, folder, kind, error);
        if (line.from < last.end) return given_twice(&last, &line, folder, kind, error);
    }
    return last.end < first->elements ? missing(first, last.end, first->elements, folder, kind, error) : WEFT_OK;
}

static weft_status prove_all(weft_pieces *list, weft_lines *lines, const char *folder, const char *kind,
                             weft_error *error)
{
    for (size_t i = 0; i < list->count;) {
        const weft_stored_piece *first = &list->pieces[i];
        weft_stored_tensor tensor = {.pieces = first};
        for (; i < list->count && strcmp(list->pieces[i].name, first->name) == 0; i++) tensor.count++;
        TRY(prove_tensor(&tensor, lines, folder, kind, error));
        TRY(weft_grow(&list->tensors, &list->tensor_capacity, list->tensor_count + 1, sizeof tensor, error));
        list->tensors[list->tensor_count++] = tensor;
    }
    return WEFT_OK;
}

weft_status weft_pieces_prove(weft_pieces *list, const char *folder, const char *kind, weft_error *error)
{
    if (list->count) qsort(list->pieces, list->count, sizeof *list->pieces, by_place);
    weft_lines lines = {0};
    weft_status status = prove_all(list, &lines, folder, kind, error);
    weft_lines_fini(&lines);
    return status;
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
