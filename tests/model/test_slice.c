/*
 * Slices of a model: the parts of tensors that tensor-parallel workers have, what cannot be divided, and that so many
 * workers together compute what one does.
 */
#include "rig.h"

#include "base/random.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct dice {
    weft_random_key key;
    uint64_t thrown;
} dice;

static int64_t draw(dice *d, int64_t from, int64_t to)
{
    return from + (int64_t)(weft_random_bits(d->key, d->thrown++) % (uint64_t)(to - from + 1));
}

static weft_model_config draw_model(dice *d, int32_t width)
{
    weft_model_config model = rig_mixed((int)draw(d, 0, RIG_MODELS - 1));
    model.layers = 1;
    model.kv_heads = width * draw(d, 1, 3);
    model.heads = model.kv_heads * draw(d, 1, 2);
    model.width = model.heads * 2 * draw(d, 1, 3);
    model.feed_forward = width * draw(d, 1, 9);
    model.vocabulary = draw(d, width, 60);
    return model;
}

/* Which element of the whole tensor each of the own elements from .. to - 1 is; -1: none. */
static void expand(const weft_parameter *parameter, int32_t index, int64_t from, int64_t to, int64_t *out)
{
    weft_piece pieces[WEFT_PIECES];
    int32_t count = weft_parameter_pieces(parameter, index, from, to, pieces);
    assert_in_range(count, 0, WEFT_PIECES);
    for (int64_t i = 0; i < to - from; i++) out[i] = -1;
    int64_t next = from;
    for (int32_t i = 0; i < count; i++) {
        assert_true(pieces[i].at >= next && pieces[i].rows > 0 && pieces[i].columns > 0);
        next = pieces[i].at + pieces[i].rows * pieces[i].columns;
        assert_true(next <= to);
        for (int64_t k = 0; k < pieces[i].rows * pieces[i].columns; k++) {
            int64_t row = k / pieces[i].columns, column = k % pieces[i].columns;
            out[pieces[i].at - from + k] = pieces[i].from + row * parameter->shape[1] + column;
        }
    }
}

/* Which worker an element is of, if it is of one only. */
static int64_t owner(const weft_parameter *parameter, int64_t element)
{
    int64_t row = element / parameter->shape[1], column = element % parameter->shape[1];
    if (parameter->split == WEFT_SPLIT_COLUMNS) return column / (parameter->shape[1] / parameter->width);
    int band = 0;
    while (row >= parameter->bands[band]) row -= parameter->bands[band++];
    return ((row + 1) * parameter->width - 1) / parameter->bands[band];
}

/* Of one slice: in order, as it should be dealt out, and the same however the range is cut. counts: (elements) how many
 * slices have each. */
static void check_slice(dice *d, const weft_parameter *parameter, int32_t index, int64_t *counts)
{
    int64_t own = parameter->own, last = -1;
    int64_t *whole = malloc((size_t)own * sizeof *whole), *part = malloc((size_t)own * sizeof *part);
    assert_true(whole && part);
    expand(parameter, index, 0, own, whole);
    for (int64_t i = 0; i < own; i++) {
        if (whole[i] < 0) continue;
        assert_true(whole[i] > last && whole[i] < parameter->elements);
        last = whole[i];
        counts[last]++;
        if (weft_split_divides(parameter->split)) assert_int_equal(owner(parameter, last), index);
    }
    for (int64_t from = 0; from < own;) {
        int64_t to = from + draw(d, 1, own - from);
        expand(parameter, index, from, to, part);
        assert_memory_equal(part, whole + from, (size_t)(to - from) * sizeof *part);
        from = to;
    }
    free(part);
    free(whole);
}

/* By definition: of one element of the whole tensor. */
static float initial(const weft_parameter *parameter, uint64_t seed, int64_t element)
{
    weft_random_key key = weft_random_key_make(seed, parameter->tied ? "embedding.token" : parameter->name);
    if (parameter->init == WEFT_INIT_ZEROS) return 0;
    if (parameter->init == WEFT_INIT_ONES) return 1;
    return (float)(parameter->deviation * weft_random_normal(key, (uint64_t)element));
}

/* A slice begins with what the whole tensor begins with there, whatever range is asked for. */
static void check_init(dice *d, const weft_parameter *parameter, int32_t index)
{
    int64_t own = parameter->own, from = draw(d, 0, own - 1), to = draw(d, from + 1, own);
    size_t count = (size_t)own;
    float *got = malloc(count * sizeof *got);
    int64_t *elements = malloc(count * sizeof *elements);
    assert_true(got && elements);
    weft_parameter_init(parameter, index, 11, from, to, got);
    expand(parameter, index, from, to, elements);
    for (int64_t i = 0; i < to - from; i++) {
        float value = elements[i] < 0 ? 0 : initial(parameter, 11, elements[i]);
        assert_memory_equal(&got[i], &value, sizeof value);
    }
    free(elements);
    free(got);
}

static void check_parameter(dice *d, const weft_parameter *whole, const weft_parameter *parameter)
{
    assert_string_equal(whole->name, parameter->name);
    assert_int_equal(whole->elements, parameter->elements);
    bool divided = weft_split_divides(parameter->split);
    assert_true(!divided || parameter->width > 1);
    int64_t *counts = calloc((size_t)parameter->elements, sizeof *counts);
    assert_non_null(counts);
    for (int32_t index = 0; index < parameter->width; index++) {
        check_slice(d, parameter, index, counts);
        check_init(d, parameter, index);
    }
    for (int64_t i = 0; i < parameter->elements; i++) assert_int_equal(counts[i], divided ? 1 : parameter->width);
    free(counts);
}

static void test_pieces(void **state)
{
    (void)state;
    static const int32_t widths[] = {1, 2, 3, 4, 5, 8};
    int checked = 0;
    for (uint64_t seed = 0; seed < 120; seed++) {
        dice d = {.key = weft_random_key_make(seed, "slices")};
        int32_t width = widths[seed % 6], count = 0, same = 0;
        weft_model_config model = draw_model(&d, width);
        const weft_parameter *whole = NULL, *divided = NULL;
        weft_arena arena;
        weft_error error;
        weft_arena_init(&arena);
        if (weft_slice_check(&model, 0, width, &error) == WEFT_OK) {
            assert_int_equal(weft_model_parameters(&model, 1, &arena, &whole, &same, &error), WEFT_OK);
            assert_int_equal(weft_model_parameters(&model, width, &arena, &divided, &count, &error), WEFT_OK);
            assert_int_equal(count, same);
            for (int32_t p = 0; p < count; p++) check_parameter(&d, &whole[p], &divided[p]);
            checked++;
        }
        weft_arena_fini(&arena);
    }
    assert_true(checked > 80); /* small vocabularies leave some of many workers none */
}

static void test_indivisible(void **state)
{
    (void)state;
    const weft_model_config good = {.layers = 1,
                                    .width = 48,
                                    .heads = 12,
                                    .kv_heads = 6,
                                    .feed_forward = 36,
                                    .vocabulary = 11,
                                    .context = 8,
                                    .norm_epsilon = 1e-5};
    weft_model_config heads = good, kv_heads = good, feed_forward = good, vocabulary = good;
    heads.heads = 10;
    kv_heads.kv_heads = 4;
    feed_forward.feed_forward = 35;
    vocabulary.vocabulary = 2;
    const struct {
        const weft_model_config *model;
        int64_t rows;
        int32_t width;
        const char *says; /* NULL: it can be divided */
    } rows[] = {{&good, 24, 3, NULL},
                {&good, 24, 6, NULL},
                {&good, 24, 1, NULL},
                {&good, 7, 0, NULL},
                {&heads, 24, 3, "3 workers cannot divide 10 attention heads (model.heads)"},
                {&kv_heads, 24, 3, "3 workers cannot divide 4 key and value heads (model.kv_heads)"},
                {&feed_forward, 24, 3, "3 workers cannot divide 35 feed-forward columns (model.feed_forward)"},
                {&good, 25, 3, "3 workers cannot divide 25 rows of a micro-batch (batch.sequences x batch.tokens)"},
                {&vocabulary, 24, 3, "a vocabulary of 2 tokens (model.vocabulary) is too small for 3 workers"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_error error;
        weft_error_clear(&error);
        weft_status status = weft_slice_check(rows[i].model, rows[i].rows, rows[i].width, &error);
        assert_int_equal(status, rows[i].says ? WEFT_INVALID : WEFT_OK);
        if (rows[i].says && !strstr(error.text, rows[i].says)) fail_msg("%s: %s", rows[i].says, error.text);
    }
}

enum { B = 2, T = 8, M = 2, TOKENS = M * B * T, MOST = 4, NUMBERS = 2 + 2 * B };

/* Threads that pass values in memory: everybody shows where its own lie, and takes what it needs. */
typedef struct meeting {
    pthread_barrier_t barrier;
    const void *shown[MOST];
    int32_t width;
} meeting;

typedef struct member {
    meeting *all;
    const model_rig *one; /* what it is a slice of */
    weft_slice slice;
    model_rig rig;
    weft_stage_exchange exchange;
    const rig_plan *plan;
    const int32_t *tokens, *targets;
    float losses[M * NUMBERS], evaluated;
    weft_exchanges trained, forward; /* of all passes of all stages, as counted */
    weft_exchanges *counted;         /* the one of them that is under way */
} member;

static void gather(void *context, weft_stream *stream, const void *part, size_t bytes, void *whole)
{
    member *self = context;
    weft_device *device = self->rig.device;
    self->all->shown[self->slice.index] = part;
    pthread_barrier_wait(&self->all->barrier);
    self->counted->count++;
    self->counted->bytes += (size_t)(self->all->width - 1) * bytes;
    for (int32_t i = 0; i < self->all->width; i++)
        device->operations->copy(device, stream, (char *)whole + (size_t)i * bytes, self->all->shown[i], bytes);
    pthread_barrier_wait(&self->all->barrier);
}

static void reduce(void *context, weft_stream *stream, const void *whole, size_t count, void *part)
{
    member *self = context;
    weft_device *device = self->rig.device;
    weft_element element = self->rig.options.element;
    const void *parts[MOST];
    self->all->shown[self->slice.index] = whole;
    pthread_barrier_wait(&self->all->barrier);
    self->counted->count++;
    self->counted->bytes += (size_t)(self->all->width - 1) * count * weft_element_bytes(element);
    for (int32_t i = 0; i < self->all->width; i++)
        parts[i] = (const char *)self->all->shown[i] + (size_t)self->slice.index * count * weft_element_bytes(element);
    device->operations->sum(device, stream, element, (int64_t)count, self->all->width, parts, part);
    pthread_barrier_wait(&self->all->barrier);
}

/* A device belongs to the thread that made it. */
static void *run_member(void *context)
{
    member *self = context;
    rig_init_slice(&self->rig, self->one->kind, WEFT_FP32, &self->one->model, B, T, self->slice, &self->exchange);
    self->rig.loss = self->one->loss;
    self->counted = &self->trained;
    rig_step(&self->rig, self->plan, M, self->tokens, self->targets, self->losses);
    self->counted = &self->forward;
    rig_plan forward = {self->plan->layers, self->plan->stages, false, false};
    self->evaluated = rig_loss(&self->rig, &forward, self->tokens, self->targets);
    return NULL;
}

/* The gradient of the whole tensor from the slices'. to: (elements) */
static void join(const member *members, int32_t width, int32_t p, float *to)
{
    const weft_parameter *parameter = &members[0].rig.parameters[p];
    float *own = malloc((size_t)parameter->own * sizeof *own);
    int64_t *elements = malloc((size_t)parameter->own * sizeof *elements);
    assert_true(own && elements);
    for (int64_t i = 0; i < parameter->elements; i++) to[i] = 0;
    for (int32_t index = 0; index < width; index++) {
        rig_read(&members[index].rig, own, members[index].rig.gradient[p], (size_t)parameter->own * sizeof *own);
        expand(parameter, index, 0, parameter->own, elements);
        for (int64_t i = 0; i < parameter->own; i++) {
            if (elements[i] < 0)
                assert_true(own[i] == 0); /* what lies beyond the tensor */
            else if (parameter->split == WEFT_SPLIT_SUMMED)
                to[elements[i]] += own[i];
            else if (parameter->split == WEFT_SPLIT_NONE && index > 0)
                assert_memory_equal(&to[elements[i]], &own[i], sizeof *own);
            else
                to[elements[i]] = own[i];
        }
    }
    free(elements);
    free(own);
}

static void compare(const model_rig *one, const member *members, int32_t width, const char *what)
{
    for (int32_t p = 0; p < one->count; p++) {
        int64_t count = one->parameters[p].elements;
        float *a = malloc((size_t)count * sizeof *a), *b = malloc((size_t)count * sizeof *b);
        assert_true(a && b);
        join(members, width, p, a);
        rig_read(one, b, one->gradient[p], (size_t)count * sizeof *b);
        double difference = 0, norm = 0;
        for (int64_t i = 0; i < count; i++) {
            difference += pow((double)a[i] - (double)b[i], 2);
            norm += (double)b[i] * (double)b[i];
        }
        if (!(sqrt(difference) <= 1e-5 * sqrt(norm)))
            fail_msg("%s, %d workers: the gradient of %s is off by %.3g", what, width, one->parameters[p].name,
                     sqrt(difference / norm));
        free(b);
        free(a);
    }
}

static void check_losses(const float *expected, float evaluated, const member *members, int32_t width)
{
    for (int32_t i = 0; i < width; i++) {
        for (int64_t m = 0; m < M * rig_numbers(&members[i].rig); m++)
            assert_true(fabsf(members[i].losses[m] - expected[m]) <= 1e-5f * expected[m]);
        assert_true(fabsf(members[i].evaluated - evaluated) <= 1e-5f * evaluated);
        /* All of them know the same. */
        assert_memory_equal(members[i].losses, members[0].losses, sizeof members[0].losses);
        assert_memory_equal(&members[i].evaluated, &members[0].evaluated, sizeof members[0].evaluated);
    }
}

static void run_together(member *members, int32_t width)
{
    pthread_t threads[MOST];
    for (int32_t i = 0; i < width; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_member, &members[i]), 0);
    for (int32_t i = 0; i < width; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void add(weft_exchanges *to, weft_exchanges of, int32_t times)
{
    to->count += times * of.count;
    to->bytes += (size_t)times * of.bytes;
}

static void same_exchanges(weft_exchanges counted, weft_exchanges told)
{
    assert_int_equal(counted.count, told.count);
    assert_int_equal(counted.bytes, told.bytes);
}

/* What the model tells of its exchanges before is what its passes ask for. */
static void check_exchanges(const member *members, const rig_plan *plan, int32_t width)
{
    weft_exchanges trained = {0}, forward = {0}, of[WEFT_PASS_KINDS], nothing[WEFT_PASS_KINDS];
    const model_rig *rig = &members[0].rig;
    bool frozen[64];
    for (int i = 0; i < 64; i++) frozen[i] = true;
    for (int32_t s = 0, first = 0; s < plan->stages; first += plan->layers[s++]) {
        weft_stage_shape shape = {.model = &rig->model,
                                  .slice = {0, width},
                                  .first_layer = first,
                                  .layer_count = plan->layers[s],
                                  .embedding = s == 0,
                                  .head = s == plan->stages - 1,
                                  .B = B,
                                  .T = T,
                                  .recompute = plan->recompute,
                                  .loss = rig->loss,
                                  .device = rig->kind,
                                  .options = rig->options};
        weft_stage_exchanges(&shape, NULL, of);
        weft_stage_exchanges(&shape, frozen, nothing);
        add(&trained, of[WEFT_F], M);
        if (!plan->split) add(&trained, of[WEFT_B], M);
        if (plan->split) add(&trained, of[WEFT_I], M);
        if (plan->split) add(&trained, of[WEFT_W], M);
        same_exchanges(nothing[WEFT_W], (weft_exchanges){0});
        same_exchanges(nothing[WEFT_B], of[WEFT_I]);
        shape.forward_only = true;
        weft_stage_exchanges(&shape, NULL, of);
        add(&forward, of[WEFT_F], 1);
        same_exchanges(of[WEFT_B], (weft_exchanges){0});
    }
    for (int32_t i = 0; i < width; i++) {
        same_exchanges(members[i].trained, trained);
        same_exchanges(members[i].forward, forward);
    }
}

static void check_model(const weft_device_kind *kind, const weft_model_config *model, const rig_plan *plan,
                        weft_stage_loss loss, int32_t width)
{
    model_rig one;
    int32_t tokens[TOKENS], targets[TOKENS];
    float losses[M * NUMBERS] = {0};
    rig_init(&one, kind, WEFT_FP32, model, B, T);
    one.loss = loss;
    rig_tokens(model->vocabulary, TOKENS, tokens, targets);
    rig_step(&one, plan, M, tokens, targets, losses);
    float evaluated = rig_loss(&one, &(rig_plan){plan->layers, plan->stages, false, false}, tokens, targets);
    meeting all = {.width = width};
    assert_int_equal(pthread_barrier_init(&all.barrier, NULL, (unsigned)width), 0);
    member *members = calloc((size_t)width, sizeof *members);
    assert_non_null(members);
    for (int32_t i = 0; i < width; i++) {
        members[i] =
            (member){.all = &all, .one = &one, .slice = {i, width}, .plan = plan, .tokens = tokens, .targets = targets};
        members[i].exchange = (weft_stage_exchange){&members[i], gather, reduce};
    }
    run_together(members, width);
    check_losses(losses, evaluated, members, width);
    check_exchanges(members, plan, width);
    compare(&one, members, width, kind->name);
    for (int32_t i = 0; i < width; i++) rig_fini(&members[i].rig);
    free(members);
    pthread_barrier_destroy(&all.barrier);
    rig_fini(&one);
}

static void test_together(void **state)
{
    (void)state;
    static const int32_t whole[] = {3}, many[] = {1, 0, 1, 1, 0};
    static const weft_stage_loss losses[] = {{0}, {0.01, 0.1, true}, {0, 0.1, false}, {0.01, 0, true}};
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if (!rig_runs_on(*kind) || !(*kind)->host_reaches) continue;
        for (int flags = 0; flags < RIG_MODELS; flags++) {
            weft_model_config model = rig_mixed(flags);
            int32_t width = model.kv_heads % 4 == 0 && flags & 4 ? 4 : 2;
            bool cut = flags >> 1 & 1;
            rig_plan plan = {cut ? many : whole, cut ? 5 : 1, flags >> 3 & 1, flags >> 2 & 1};
            check_model(*kind, &model, &plan, losses[flags % 3], width);
            plan.recompute = !plan.recompute;
            check_model(*kind, &model, &plan, losses[flags % 4], width);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces), cmocka_unit_test(test_indivisible),
                                       cmocka_unit_test(test_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
