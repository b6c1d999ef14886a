/* What tensor-parallel workers have of a model: which parts of each tensor, and the values they begin with. */
#include "base/random.h"
#include "model/parameters.h"

int64_t weft_slice_vocabulary(const weft_model_config *model, weft_slice slice, int64_t *out_count)
{
    int64_t V = model->vocabulary, width = slice.width > 1 ? slice.width : 1, first = V * slice.index / width;
    *out_count = V * (slice.index + 1) / width - first;
    return first;
}

static weft_status refuse(const char *what, int64_t count, int32_t width, weft_error *error)
{
    FAIL(error, WEFT_INVALID, "%d workers cannot divide %lld %s evenly: choose a width that divides it", width,
         (long long)count, what);
}

weft_status weft_slice_check(const weft_model_config *model, int64_t rows, int32_t width, weft_error *error)
{
    if (width <= 1) return WEFT_OK;
    if (model->heads % width) return refuse("attention heads (model.heads)", model->heads, width, error);
    if (model->kv_heads % width) return refuse("key and value heads (model.kv_heads)", model->kv_heads, width, error);
    if (model->feed_forward % width)
        return refuse("feed-forward columns (model.feed_forward)", model->feed_forward, width, error);
    if (rows % width) return refuse("rows of a micro-batch (batch.sequences x batch.tokens)", rows, width, error);
    if (model->vocabulary < width)
        FAIL(error, WEFT_INVALID, "a vocabulary of %lld tokens (model.vocabulary) is too small for %d workers",
             (long long)model->vocabulary, width);
    return WEFT_OK;
}

static int32_t add_piece(weft_piece *out, int64_t at, int64_t from, int64_t rows, int64_t columns)
{
    if (rows <= 0 || columns <= 0) return 0;
    *out = (weft_piece){at, from, rows, columns};
    return 1;
}

/* Own columns of every row: the rest of a row that has begun, whole rows, the beginning of one more. */
static int32_t cut_columns(const weft_parameter *parameter, int32_t index, int64_t from, int64_t to, weft_piece *out)
{
    int64_t W = parameter->shape[1], width = W / parameter->width, first = index * width;
    int64_t begun = from % width ? width - from % width : 0, left = to - from;
    int32_t count = 0;
    if (begun > left) begun = left;
    count += add_piece(&out[count], from, from / width * W + first + from % width, 1, begun);
    from += begun;
    int64_t rows = (to - from) / width;
    count += add_piece(&out[count], from, from / width * W + first, rows, width);
    from += rows * width;
    return count + add_piece(&out[count], from, from / width * W + first, 1, to - from);
}

/* Own rows of every band are one run. */
static int32_t cut_rows(const weft_parameter *parameter, int32_t index, int64_t from, int64_t to, weft_piece *out)
{
    int64_t W = parameter->shape[1], at = 0, above = 0;
    int32_t count = 0;
    for (int i = 0; i < WEFT_BANDS && parameter->bands[i] > 0; i++) {
        int64_t rows = parameter->bands[i], share = weft_band_share(parameter, i);
        int64_t before = rows * index / parameter->width;
        int64_t own = rows * (index + 1) / parameter->width - before;
        int64_t low = from > at ? from : at, high = to < at + own * W ? to : at + own * W;
        count += add_piece(&out[count], low, (above + before) * W + low - at, 1, high - low);
        at += share * W;
        above += rows;
    }
    return count;
}

int32_t weft_parameter_pieces(const weft_parameter *parameter, int32_t index, int64_t from, int64_t to,
                              weft_piece out[WEFT_PIECES])
{
    switch (parameter->split) {
    case WEFT_SPLIT_ROWS:
        return cut_rows(parameter, index, from, to, out);
    case WEFT_SPLIT_COLUMNS:
        return cut_columns(parameter, index, from, to, out);
    default:
        return add_piece(out, from, from, 1, to - from);
    }
}

static void fill(const weft_parameter *parameter, weft_random_key key, int64_t from, int64_t count, float *out)
{
    if (parameter->init == WEFT_INIT_NORMAL)
        return weft_random_normals(key, (uint64_t)from, parameter->deviation, count, out);
    for (int64_t i = 0; i < count; i++) out[i] = parameter->init == WEFT_INIT_ONES ? 1.0f : 0.0f;
}

void weft_parameter_init(const weft_parameter *parameter, int32_t index, uint64_t seed, int64_t from, int64_t to,
                         float *out)
{
    weft_piece pieces[WEFT_PIECES];
    int32_t count = weft_parameter_pieces(parameter, index, from, to, pieces);
    const char *name = parameter->tied ? weft_parameter_kind_name(WEFT_EMBEDDING_TOKEN) : parameter->name;
    weft_random_key key = weft_random_key_make(seed, name);
    for (int64_t i = 0; i < to - from; i++) out[i] = 0;
    for (int32_t i = 0; i < count; i++)
        for (int64_t row = 0; row < pieces[i].rows; row++)
            fill(parameter, key, pieces[i].from + row * parameter->shape[1], pieces[i].columns,
                 out + pieces[i].at - from + row * pieces[i].columns);
}
