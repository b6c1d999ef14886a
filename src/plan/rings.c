#include "plan/rings.h"

#include "base/text.h"
#include "plan/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELL = 64, MOST_COLUMNS = 64 };

typedef enum column { KIND, OPERATION, MEMBERS, BYTES, TIME, COLUMNS, OTHER = COLUMNS } column;

static const char *const names[COLUMNS] = {"gpu", "op", "gpus_in_ring", "bytes", "time_us_out_of_place"};

/* Sums of the normal equations of t = start + slope S, each row divided by its t. */
typedef struct sums {
    double one, size, square, time, product;
} sums;

static int find_column(const char *name)
{
    int i = 0;
    while (i < COLUMNS && strcmp(names[i], name) != 0) i++;
    return i;
}

static weft_status read_header(const char **at, const char *end, const char *source, int *columns, int *out_count,
                               weft_error *error)
{
    char cell[CELL];
    unsigned seen = 0;
    bool goes_on = true;
    for (*out_count = 0; goes_on && *out_count < MOST_COLUMNS; (*out_count)++) {
        goes_on = weft_plan_csv_cell(at, end, cell, sizeof cell);
        columns[*out_count] = find_column(cell);
        seen |= 1u << columns[*out_count];
    }
    for (int i = MEMBERS; i < COLUMNS; i++)
        if (!(seen & 1u << i)) FAIL(error, WEFT_INVALID, "%s: column '%s' is missing", source, names[i]);
    return WEFT_OK;
}

static void add(sums *to, double bytes, double seconds)
{
    double weight = 1 / (seconds * seconds);
    to->one += weight;
    to->size += bytes * weight;
    to->square += bytes * bytes * weight;
    to->time += seconds * weight;
    to->product += bytes * seconds * weight;
}

static weft_status take_row(char cells[COLUMNS][CELL], const weft_plan_gpu *gpu, const char *source, size_t row,
                            sums *rings, weft_error *error)
{
    double value[COLUMNS];
    int place = 0;
    if (cells[OPERATION][0] && strcmp(cells[OPERATION], "all_reduce") != 0) return WEFT_OK;
    if (strncmp(gpu->name, cells[KIND], strlen(cells[KIND])) != 0) return WEFT_OK;
    for (int i = MEMBERS; i < COLUMNS; i++) {
        if (!weft_parse_double(cells[i], &value[i]) || !(value[i] > 0) || value[i] > 1e15)
            FAIL(error, WEFT_INVALID, "%s: row %zu: %s: '%s' is not a number above 0", source, row, names[i], cells[i]);
    }
    while (place < WEFT_PLAN_RINGS && 2 << place != value[MEMBERS]) place++;
    if (place < WEFT_PLAN_RINGS) add(&rings[place], value[BYTES], value[TIME] * 1e-6);
    return WEFT_OK;
}

static weft_status solve(const sums *s, int members, const char *source, weft_plan_ring *out, weft_error *error)
{
    double determinant = s->one * s->square - s->size * s->size;
    double slope = (s->one * s->product - s->size * s->time) / determinant;
    if (!(determinant > 1e-9 * s->one * s->square) || !(slope > 0) || !isfinite(slope))
        FAIL(error, WEFT_INVALID, "%s: a ring of %d GPUs needs times of more than one size, growing with it", source,
             members);
    double start = (s->square * s->time - s->size * s->product) / determinant;
    *out = (weft_plan_ring){start > 0 ? start : 0, 2.0 * (members - 1) / members / slope};
    return WEFT_OK;
}

static void read_row(const char **at, const char *end, const int *columns, int count, char cells[COLUMNS + 1][CELL])
{
    bool goes_on = true;
    memset(cells, 0, (COLUMNS + 1) * sizeof *cells);
    for (int i = 0; goes_on; i++) goes_on = weft_plan_csv_cell(at, end, cells[i < count ? columns[i] : OTHER], CELL);
}

weft_status weft_plan_rings_read(const char *text, size_t length, const char *source, weft_plan_gpu *gpu,
                                 weft_error *error)
{
    const char *at = text, *end = text + length;
    char cells[COLUMNS + 1][CELL];
    sums rings[WEFT_PLAN_RINGS] = {{0}};
    int columns[MOST_COLUMNS], count = 0, found = 0;
    TRY(read_header(&at, end, source, columns, &count, error));
    for (size_t row = 2; at < end; row++) {
        read_row(&at, end, columns, count, cells);
        if (cells[MEMBERS][0]) TRY(take_row(cells, gpu, source, row, rings, error));
    }
    for (int i = 0; i < WEFT_PLAN_RINGS && rings[i].one > 0; i++, found++)
        TRY(solve(&rings[i], 2 << i, source, &gpu->rings[i], error));
    if (found == 0)
        FAIL(error, WEFT_INVALID, "%s: no all-reduce of 2 GPUs of kind %s is in this table", source, gpu->name);
    for (int i = found; i < WEFT_PLAN_RINGS; i++) gpu->rings[i].bus = 0;
    gpu->origin[3] = WEFT_PLAN_MEASURED;
    return WEFT_OK;
}
