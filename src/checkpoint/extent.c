#include "checkpoint/extent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t weft_extent_width(int32_t dimensions, const int64_t *shape)
{
    return dimensions > 0 ? shape[dimensions - 1] : 1;
}

/* By quotients, since sums and products of hostile numbers could be too large. */
static bool lies_in(int64_t elements, int64_t width, int64_t from, int64_t rows, int64_t columns)
{
    if (from < 0 || rows < 0 || columns < 0 || from > elements) return false;
    if (rows == 0 || columns == 0) return true;
    if (rows == 1) return columns <= elements - from;
    return width > 0 && rows <= elements / width - from / width;
}

weft_status weft_extent_make(int64_t elements, int64_t width, int64_t from, int64_t rows, int64_t columns,
                             weft_extent *out, weft_error *error)
{
    char block[48] = "";
    if (rows != 1) snprintf(block, sizeof block, "%" PRId64 " rows of ", rows);
    if (!lies_in(elements, width, from, rows, columns))
        FAIL(error, WEFT_INVALID, "%s%" PRId64 " elements from element %" PRId64 " are not all in its %" PRId64, block,
             columns, from, elements);
    if (rows > 1 && columns > 0 && columns > width - from % width)
        FAIL(error, WEFT_INVALID,
             "%s%" PRId64 " elements from element %" PRId64 " go over the end of its rows of %" PRId64, block, columns,
             from, width);
    *out = (weft_extent){.from = from, .rows = rows, .columns = columns, .stride = width > 0 ? width : 1};
    if (rows == 0 || columns == 0 || columns == width) {
        out->rows = 1;
        out->columns = rows * columns;
    }
    return WEFT_OK;
}

int64_t weft_extent_line(const weft_extent *extent, int64_t row)
{
    return extent->from + row * extent->stride;
}

/* The first row whose line ends behind this element, or one that is not there. */
static int64_t first_behind(const weft_extent *extent, int64_t element)
{
    int64_t beyond = element - extent->from - extent->columns;
    return beyond < 0 ? 0 : beyond / extent->stride + 1;
}

weft_status weft_extent_copy(const weft_extent *source, const weft_safetensors *file, const unsigned char *values,
                             const weft_extent *wanted, float *out, weft_error *error)
{
    size_t first = 0, last = 0;
    int64_t i = first_behind(source, wanted->from), j = first_behind(wanted, source->from);
    while (i < source->rows && j < wanted->rows) {
        int64_t mine = weft_extent_line(source, i), other = weft_extent_line(wanted, j);
        int64_t ends[] = {mine + source->columns, other + wanted->columns};
        int64_t begin = mine > other ? mine : other, end = ends[0] < ends[1] ? ends[0] : ends[1];
        if (begin < end) {
            size_t at = (size_t)(i * source->columns + begin - mine) * sizeof *out;
            size_t bytes = (size_t)(end - begin) * sizeof *out;
            TRY(weft_safetensors_copy(file, values + at, bytes, out + (j * wanted->columns + begin - other), error));
            if (last == 0) first = at;
            last = at + bytes;
        }
        i += ends[0] <= ends[1];
        j += ends[1] <= ends[0];
    }
    weft_safetensors_release(file, values + first, last - first);
    return WEFT_OK;
}
