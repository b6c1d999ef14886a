#include "checkpoint/lines.h"

static weft_line line_of(const weft_stored_piece *piece, int64_t row)
{
    int64_t from = weft_extent_line(&piece->extent, row), columns = piece->extent.columns;
    return (weft_line){.piece = piece,
                       .row = row,
                       .from = from,
                       .end = from + columns,
                       .values = piece->values + (size_t)(row * columns) * sizeof(float)};
}

static bool is_before(const weft_line *a, const weft_line *b)
{
    return a->from < b->from || (a->from == b->from && a->piece < b->piece);
}

/* Lets the top of the heap sink to its place. */
static void sink(weft_line *heap, size_t count)
{
    for (size_t at = 0, first = 0; at < count; at = first) {
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (is_before(&heap[child], &heap[first])) first = child;
        if (first == at) return;
        weft_line moved = heap[at];
        heap[at] = heap[first];
        heap[first] = moved;
    }
}

/* Ascending lines are a heap. */
weft_status weft_lines_begin(weft_lines *lines, const weft_stored_tensor *tensor, weft_error *error)
{
    TRY(weft_grow(&lines->heap, &lines->capacity, tensor->count, sizeof *lines->heap, error));
    lines->count = tensor->count;
    for (size_t i = 0; i < tensor->count; i++) lines->heap[i] = line_of(&tensor->pieces[i], 0);
    return WEFT_OK;
}

bool weft_lines_next(weft_lines *lines, weft_line *out)
{
    if (lines->count == 0) return false;
    weft_line *top = lines->heap;
    *out = *top;
    if (top->row + 1 < top->piece->extent.rows)
        *top = line_of(top->piece, top->row + 1);
    else
        *top = lines->heap[--lines->count];
    sink(lines->heap, lines->count);
    return true;
}

void weft_lines_fini(weft_lines *lines)
{
    weft_free(lines->heap);
    *lines = (weft_lines){0};
}
