/* Values of a folder's parameters, a block at a time, however its tensors lie. */
#include "base/file.h"
#include "convert/folder.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Elements that are converted at once, and bytes of a file that may stay in memory behind them. */
enum { CHUNK = 4096, SPAN = 1 << 22 };

/* Rows and columns of a parameter, whose rows are so many elements wide. */
typedef struct block {
    int64_t row, rows, column, columns;
} block;

/* What was read of a file and has not been released. */
typedef struct trail {
    const weft_safetensors *file;
    const unsigned char *since;
} trail;

static void leave(trail *behind, const unsigned char *now, size_t least)
{
    if ((size_t)(now - behind->since) < least) return;
    weft_safetensors_release(behind->file, behind->since, (size_t)(now - behind->since));
    behind->since = now;
}

static void take_rows(const weft_folder *folder, const weft_part *part, block b, int64_t width, float *out)
{
    if (b.columns == width) b = (block){0, 1, b.row * width, b.rows * width};
    size_t element = weft_element_bytes(part->entry->element);
    const unsigned char *at = part->entry->data;
    at += (size_t)(b.row * width + b.column) * element;
    trail behind = {folder->files[part->file].tensors, at};
    for (int64_t r = 0; r < b.rows; r++) {
        weft_element_to_float(part->entry->element, at, (size_t)b.columns, out + r * b.columns);
        leave(&behind, at + (size_t)b.columns * element, r + 1 < b.rows ? SPAN : 1);
        at += (size_t)width * element;
    }
}

/* Rows of the tensor are columns of the parameter: of each a run, which goes down a column of the block. */
static void take_turned(const weft_folder *folder, const weft_part *part, block b, float *out)
{
    size_t element = weft_element_bytes(part->entry->element);
    int64_t width = part->entry->shape[1];
    const unsigned char *at = part->entry->data;
    at += (size_t)(b.column * width + b.row) * element;
    trail behind = {folder->files[part->file].tensors, at};
    float run[CHUNK];
    for (int64_t c = 0; c < b.columns; c++) {
        for (int64_t r = 0; r < b.rows; r += CHUNK) {
            int64_t count = b.rows - r < CHUNK ? b.rows - r : CHUNK;
            weft_element_to_float(part->entry->element, at + (size_t)r * element, (size_t)count, run);
            for (int64_t i = 0; i < count; i++) out[(r + i) * b.columns + c] = run[i];
        }
        leave(&behind, at + (size_t)b.rows * element, c + 1 < b.columns ? SPAN : 1);
        at += (size_t)width * element;
    }
}

static weft_status check_finite(const weft_folder *folder, const weft_parameter *parameter, const weft_part *part,
                                const block *b, const float *values, weft_error *error)
{
    for (int64_t i = 0; i < b->rows * b->columns; i++)
        if (!isfinite(values[i]))
            FAIL(error, WEFT_INVALID,
                 "%s/%s: tensor \"%s\" holds a number that is not finite (row %" PRId64 ", column %" PRId64 " of %s)",
                 folder->path, folder->files[part->file].name, part->name, part->first + b->row + i / b->columns,
                 b->column + i % b->columns, parameter->name);
    return WEFT_OK;
}

/* Of the embedding; the head must hold the same. */
static weft_status check_tied(const weft_folder *folder, const block *b, int64_t width, const float *values,
                              weft_error *error)
{
    float other[CHUNK];
    for (int64_t i = 0; i < b->rows * b->columns;) {
        block piece = {b->row + i / b->columns, 1, b->column + i % b->columns, b->columns - i % b->columns};
        if (piece.columns > CHUNK) piece.columns = CHUNK;
        take_rows(folder, &folder->tied, piece, width, other);
        for (int64_t k = 0; k < piece.columns; k++, i++)
            if (memcmp(&other[k], &values[i], sizeof *other) != 0)
                FAIL(error, WEFT_INVALID,
                     "%s: tie_word_embeddings is true, but tensor \"%s\" is not the embedding: element %" PRId64
                     " differs",
                     folder->path, folder->tied.name, piece.row * width + piece.column + k);
    }
    return WEFT_OK;
}

static weft_status read_block(const weft_folder *folder, const weft_parameter *parameter, const block *wanted,
                              float *out, weft_error *error)
{
    weft_part parts[WEFT_FAMILY_PARTS];
    int count = wanted->rows > 0 && wanted->columns > 0 ? weft_folder_parts(folder, parameter, parts) : 0;
    for (int p = 0; p < count; p++) {
        int64_t low = parts[p].first, high = low + parts[p].rows;
        if (low < wanted->row) low = wanted->row;
        if (high > wanted->row + wanted->rows) high = wanted->row + wanted->rows;
        if (low >= high) continue;
        block own = {low - parts[p].first, high - low, wanted->column, wanted->columns};
        float *values = out + (low - wanted->row) * wanted->columns;
        if (parts[p].transposed)
            take_turned(folder, &parts[p], own, values);
        else
            take_rows(folder, &parts[p], own, parameter->shape[1], values);
        TRY(check_finite(folder, parameter, &parts[p], &own, values, error));
    }
    bool embedding = folder->tied.entry && strcmp(parameter->name, "embedding.token") == 0;
    return embedding ? check_tied(folder, wanted, parameter->shape[1], out, error) : WEFT_OK;
}

/* A run over several rows: the rest of one that has begun, whole ones, the beginning of one more. */
static weft_status read_run(const weft_folder *folder, const weft_parameter *parameter, int64_t from, int64_t count,
                            float *out, weft_error *error)
{
    int64_t width = parameter->shape[1], begun = from % width ? width - from % width : 0;
    if (begun > count) begun = count;
    int64_t first = (from + begun) / width, whole = (count - begun) / width, left = count - begun - whole * width;
    const block blocks[] = {
        {from / width, 1, from % width, begun}, {first, whole, 0, width}, {first + whole, 1, 0, left}};
    for (int i = 0; i < 3; i++) {
        TRY(read_block(folder, parameter, &blocks[i], out, error));
        out += blocks[i].rows * blocks[i].columns;
    }
    return WEFT_OK;
}

weft_status weft_folder_read(const weft_folder *folder, const weft_parameter *parameter, int64_t from, int64_t rows,
                             int64_t columns, float *out, weft_error *error)
{
    int64_t width = parameter->shape[1];
    if (rows == 1) return read_run(folder, parameter, from, columns, out, error);
    const block whole = {from / width, rows, from % width, columns};
    return read_block(folder, parameter, &whole, out, error);
}
