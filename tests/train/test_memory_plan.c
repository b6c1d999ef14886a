/* The table of a worker's memory: rows apart from each other, aligned, all of them used; what a dry run prints is their
 * sum, and what a worker allocates is their blocks. */
#include "train/staging.h"
#include "train/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OVERRIDES = 8 };

static const char base[] = "model: {layers: 4, width: 32, heads: 4, vocabulary: 301, context: 16}\n"
                           "batch: {microbatches: 4, sequences: 2}\n"
                           "device: reference\nthreads: 1\ndata: {path: none}\nrun: {folder: none}\n";

/* Layouts in which every row is there somewhere. */
static const char *const layouts[][OVERRIDES] = {
    {NULL},
    {"element=bf16", "parallel.pipeline=2", "parallel.loops=2"},
    {"parallel.pipeline=2", "model.tied=false", "recompute=full", "data.documents=mask_and_reset"},
    {"parallel.pipeline=3", "parallel.loops=1", "parallel.schedule=zb-h1", "optimizer.frozen=layer.1.*"},
    {"parallel.data=3", "parallel.shard=optimizer", "element=bf16"},
    {"parallel.data=2", "parallel.shard=gradients", "parallel.reduce=early", "parallel.loops=2"},
    {"parallel.data=2", "parallel.shard=weights", "parallel.reduce=early", "parallel.buffers=1", "parallel.loops=4"},
    {"parallel.data=2", "parallel.tensor=2", "parallel.shard=weights", "element=bf16", "parallel.pipeline=2"},
    {"model.architecture=llama", "parallel.tensor=2", "parallel.pipeline=2", "parallel.schedule=1f1b"},
    {"data.sources=[{path: a}, {path: b}]", "loss.z=0.001", "loss.label_smoothing=0.1", "parallel.data=2",
     "parallel.tensor=2", "recompute=full"},
    /* Of the second rank the second of three workers has the largest share: the tensor between the cuts. */
    {"model.architecture=llama", "model.feed_forward=80", "model.layers=3", "parallel.pipeline=3", "parallel.data=3",
     "parallel.stages=[1,1,1]", "parallel.shard=optimizer"},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

typedef struct made {
    weft_config config;
    weft_job *job;
    weft_device_kind kind; /* for tests that change it */
    weft_arena arena;
} made;

static void make(made *it, int layout)
{
    weft_error error;
    int count = 0;
    weft_error_clear(&error);
    weft_arena_init(&it->arena);
    while (count < OVERRIDES && layouts[layout][count]) count++;
    if (weft_config_load_text(&it->config, base, sizeof base - 1, "test", layouts[layout], count, &error) != WEFT_OK ||
        weft_job_create(&it->config, &it->job, &error) != WEFT_OK)
        fail_msg("layout %d: %s", layout, error.text);
}

static void done_with(made *it)
{
    weft_job_destroy(it->job);
    weft_config_fini(&it->config);
    weft_arena_fini(&it->arena);
}

static void plan(made *it, int32_t number, bool sampling, weft_memory_plan *out)
{
    weft_error error;
    weft_coordinates at = weft_world_coordinates(it->job, number);
    it->job->use = sampling ? WEFT_JOB_SAMPLES : WEFT_JOB_TRAINS;
    assert_int_equal(weft_memory_plan_make(it->job, at, &it->arena, out, &error), WEFT_OK);
}

/* Rows are in the order of their offsets; what an alias is lies where its twin is. */
static void check_rows(const made *it, const weft_memory_plan *made_plan, bool seen[WEFT_ROWS])
{
    size_t at[WEFT_SPACES] = {0}, sum[WEFT_CATEGORIES] = {0}, pinned = 0, alignment = it->job->device->alignment;
    for (int32_t i = 0; i < made_plan->row_count; i++) {
        const weft_memory_row *row = &made_plan->rows[i];
        assert_true(weft_memory_plan_find(made_plan, row->row, row->unit) == (row->there ? row : NULL));
        if (!row->there) continue;
        seen[row->row] = true;
        assert_int_equal(row->offset % alignment, 0);
        assert_true(row->offset + row->bytes <= made_plan->blocks[row->space]);
        if (row->alias) {
            assert_true(it->job->device->host_reaches && row->space == WEFT_MEMORY_DEVICE);
            continue;
        }
        assert_int_equal(row->offset, at[row->space]);
        at[row->space] += weft_align(row->bytes, alignment);
        if (row->space == WEFT_MEMORY_DEVICE)
            sum[row->category] += row->bytes;
        else
            pinned += row->bytes;
    }
    size_t total = 0;
    for (int space = 0; space < WEFT_SPACES; space++) assert_int_equal(at[space], made_plan->blocks[space]);
    for (int c = 0; c < WEFT_CATEGORIES; c++) {
        assert_int_equal(sum[c], made_plan->memory.bytes[c]);
        total += sum[c];
    }
    assert_int_equal(total, made_plan->memory.total);
    assert_int_equal(pinned, made_plan->memory.pinned);
}

/* Each rank's figure is that of its worker that needs most. */
static void check_counts(made *it, bool seen[WEFT_ROWS])
{
    size_t *most = calloc((size_t)it->job->ranks, sizeof *most);
    assert_non_null(most);
    for (int32_t w = 0; w < it->job->workers; w++) {
        weft_memory_plan worker_plan;
        int32_t rank = weft_world_coordinates(it->job, w).rank;
        plan(it, w, false, &worker_plan);
        check_rows(it, &worker_plan, seen);
        if (worker_plan.memory.total > most[rank]) most[rank] = worker_plan.memory.total;
    }
    for (int32_t r = 0; r < it->job->ranks; r++) assert_int_equal(most[r], it->job->memory[r].total);
    free(most);
}

static void test_rows(void **state)
{
    (void)state;
    bool seen[WEFT_ROWS] = {false};
    for (int i = 0; i < LAYOUTS; i++) {
        made it;
        weft_memory_plan sampling;
        make(&it, i);
        check_counts(&it, seen);
        plan(&it, 0, true, &sampling);
        check_rows(&it, &sampling, seen);
        assert_non_null(weft_memory_plan_find(&sampling, WEFT_ROW_LOGITS, -1));
        assert_null(weft_memory_plan_find(&sampling, WEFT_ROW_GRADIENT, it.job->rank_units[0]));
        done_with(&it);
    }
    for (int row = 0; row < WEFT_ROWS; row++) {
        bool far = row == WEFT_ROW_BATCH_LOSSES || row == WEFT_ROW_STAGING || row == WEFT_ROW_STAGING_ODD;
        if (seen[row] == far) fail_msg("row %s is %s", weft_row_name((weft_row)row), far ? "there" : "nowhere");
    }
}

/* A device whose memory the host cannot reach has its own copy of all that goes in and comes out, and staging. */
static void test_out_of_reach(void **state)
{
    (void)state;
    static const weft_row rows[][2] = {{WEFT_ROW_TOKENS, WEFT_ROW_HOST_TOKENS},
                                       {WEFT_ROW_TARGETS, WEFT_ROW_HOST_TARGETS},
                                       {WEFT_ROW_TOKENS, WEFT_ROW_HOST_TOKENS_ODD},
                                       {WEFT_ROW_TARGETS, WEFT_ROW_HOST_TARGETS_ODD},
                                       {WEFT_ROW_SCALARS, WEFT_ROW_HOST_SCALARS},
                                       {WEFT_ROW_SCALARS, WEFT_ROW_HOST_SCALARS_OUT},
                                       {WEFT_ROW_BATCH_LOSSES, WEFT_ROW_HOST_BATCH_LOSSES}};
    bool seen[WEFT_ROWS] = {false};
    for (int i = 0; i < LAYOUTS; i++) {
        made it;
        weft_memory_plan far;
        weft_text text;
        make(&it, i);
        it.kind = *it.job->device;
        it.kind.host_reaches = false;
        it.kind.alignment = 256;
        it.job->device = &it.kind;
        weft_memory_plan_count(it.job);
        check_counts(&it, seen);
        plan(&it, 0, false, &far);
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            const weft_memory_row *inside = weft_memory_plan_find(&far, rows[r][0], -1);
            const weft_memory_row *outside = weft_memory_plan_find(&far, rows[r][1], -1);
            assert_true(inside->space == WEFT_MEMORY_DEVICE && outside->space == WEFT_MEMORY_PINNED);
            assert_int_equal(inside->bytes, outside->bytes);
        }
        assert_int_equal(weft_memory_plan_find(&far, WEFT_ROW_STAGING_ODD, -1)->bytes, WEFT_STAGING_BYTES);
        assert_true(weft_staging_bytes(it.job) > 0);
        assert_int_equal(it.job->memory[0].pinned, far.memory.pinned + weft_staging_bytes(it.job));
        weft_text_init(&text);
        weft_job_print(it.job, "", &text);
        weft_job_print_json(it.job, "", &text);
        assert_non_null(strstr(weft_text_get(&text), "pinned\n"));
        assert_non_null(strstr(weft_text_get(&text), "\"pinned\": "));
        weft_text_fini(&text);
        done_with(&it);
    }
}

/* What the device was asked for; reference_allocate is wrapped. */
static size_t allocated;

weft_status __real_reference_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out,
                                      weft_error *error);
weft_status __wrap_reference_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out,
                                      weft_error *error);

weft_status __wrap_reference_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out,
                                      weft_error *error)
{
    allocated += bytes;
    return __real_reference_allocate(device, kind, bytes, out, error);
}

/* The pointers of a worker that are rows. */
static int list_pointers(const weft_worker *worker, const void **out)
{
    const weft_workspace *space = &worker->workspace;
    const void *const once[] = {
        worker->weight_pages,    worker->gradient_pages, space->kernels,        space->reduce,
        space->tensor_sum,       space->exchange,        space->tied,           worker->slots,
        worker->angles,          worker->batch.tokens,   worker->batch.targets, worker->losses.own,
        worker->losses.all,      worker->scalars,        worker->sums.own,      worker->sums.all,
        worker->sums.ordered,    worker->sums.index,     worker->logits,        worker->batch.documents,
        worker->batch.positions, worker->steps.cache,    worker->steps.space,   worker->steps.positions};
    int count = 0;
    for (int32_t u = 0; u < worker->job->unit_count; u++) {
        const weft_unit_memory *unit = &worker->units[u];
        const void *const of[] = {unit->gradient, unit->reduced, unit->master,
                                  unit->moment1,  unit->moment2, unit->storage ? unit->storage : unit->own_storage};
        for (size_t i = 0; i < sizeof of / sizeof *of; i++) out[count++] = of[i];
    }
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) out[count++] = once[i];
    return count;
}

/* Every row of its own begins where the worker points; the messages' part of the slot arena follows the rest of it. */
static void check_used(const weft_worker *worker)
{
    const void **pointers = calloc((size_t)worker->job->unit_count * 6 + 32, sizeof *pointers);
    assert_non_null(pointers);
    int count = list_pointers(worker, pointers);
    for (int32_t i = 0; i < worker->plan.row_count; i++) {
        const weft_memory_row *row = &worker->plan.rows[i];
        if (!row->there || row->alias || row->bytes == 0) continue;
        const unsigned char *begin = worker->blocks[row->space] + row->offset;
        if (row->row == WEFT_ROW_SLOTS_MORE)
            assert_ptr_equal(begin, worker->slots + worker->job->slots[worker->at.rank] - row->bytes);
        bool used = row->row == WEFT_ROW_SLOTS_MORE;
        for (int p = 0; p < count; p++) used |= pointers[p] == begin;
        if (!used) fail_msg("nobody uses row %s", weft_row_name(row->row));
    }
    free(pointers);
}

/* A number for each micro-batch; what is trained besides, and several sources, are told in more. */
static void test_losses(void **state)
{
    (void)state;
    static const char *const sources = "data.sources=[{path: a}, {path: b}]", *const z = "loss.z=0.001";
    const char *const cases[][2] = {{"threads=1", "threads=1"}, {"data.sources=[{path: a}]", "threads=1"},
                                    {z, "threads=1"},           {"loss.label_smoothing=0.1", "threads=1"},
                                    {sources, "threads=1"},     {sources, z}};
    static const size_t numbers[] = {1, 1, 2, 2, 1 + 2 * 2, 2 + 2 * 2}; /* of a micro-batch of two sequences */
    static const weft_row rows[] = {WEFT_ROW_LOSSES, WEFT_ROW_HOST_BATCH_LOSSES};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int use = WEFT_JOB_TRAINS; use <= WEFT_JOB_EVALUATES; use++) {
            weft_error error;
            weft_memory_plan plan;
            made it;
            weft_arena_init(&it.arena);
            assert_int_equal(weft_config_load_text(&it.config, base, sizeof base - 1, "test", cases[i], 2, &error),
                             WEFT_OK);
            assert_int_equal(weft_job_create_for(&it.config, (weft_job_use)use, &it.job, &error), WEFT_OK);
            assert_int_equal(weft_memory_plan_make(it.job, (weft_coordinates){0}, &it.arena, &plan, &error), WEFT_OK);
            for (int r = 0; r < 2; r++)
                assert_int_equal(weft_memory_plan_find(&plan, rows[r], -1)->bytes,
                                 4 * sizeof(float) * (use == WEFT_JOB_TRAINS ? numbers[i] : 1));
            done_with(&it);
        }
    }
}

static void create_worker(const made *it, int32_t number, bool sampling, weft_local_hub *hub)
{
    weft_error error;
    weft_transport *transport = NULL;
    weft_worker *worker = NULL;
    weft_error_clear(&error);
    assert_int_equal(weft_local_transport_create(hub, number, &transport, &error), WEFT_OK);
    it->job->use = sampling ? WEFT_JOB_SAMPLES : WEFT_JOB_TRAINS;
    allocated = 0;
    if (weft_worker_create(it->job, number, transport, &worker, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(allocated, worker->plan.blocks[WEFT_MEMORY_DEVICE] + worker->plan.blocks[WEFT_MEMORY_PINNED]);
    check_used(worker);
    weft_worker_destroy(worker);
    transport->operations->destroy(transport);
}

static void test_worker(void **state)
{
    (void)state;
    for (int i = 0; i < LAYOUTS; i++) {
        made it;
        weft_error error;
        const weft_group *groups = NULL;
        int32_t count = 0;
        weft_local_hub *hub = NULL;
        make(&it, i);
        assert_int_equal(weft_world_groups(it.job, &it.arena, &groups, &count, &error), WEFT_OK);
        assert_int_equal(weft_local_hub_create(it.job->workers, groups, count, &hub, &error), WEFT_OK);
        for (int32_t w = 0; w < it.job->workers; w++) create_worker(&it, w, false, hub);
        if (i == 0) create_worker(&it, 0, true, hub);
        weft_local_hub_destroy(hub);
        done_with(&it);
    }
}

static int asked; /* calls of count_asks; one thread */

static size_t count_asks(const weft_device_options *options, const weft_linear *linear)
{
    (void)options;
    asked++;
    return (size_t)linear->rows;
}

/* A device is asked once about each size of a micro-batch and width. */
static void test_known(void **state)
{
    (void)state;
    made it;
    weft_error error;
    weft_known *known = NULL;
    weft_stage_space first, again, other;
    make(&it, 0);
    weft_stage_shape shape = it.job->stages[0].train;
    it.kind = *it.job->device;
    it.kind.linear_workspace = count_asks;
    shape.device = &it.kind;
    assert_int_equal(weft_known_create(&known, &error), WEFT_OK);
    assert_int_equal(weft_known_space(known, &shape, &first, &error), WEFT_OK);
    int once = asked;
    assert_true(once > 0);
    assert_int_equal(weft_known_space(known, &shape, &again, &error), WEFT_OK);
    assert_int_equal(asked, once);
    assert_true(first.layer == again.layer && first.head == again.head);
    shape.B *= 2;
    assert_int_equal(weft_known_space(known, &shape, &other, &error), WEFT_OK);
    assert_int_equal(asked, 2 * once);
    assert_true(other.head > first.head);
    weft_known_destroy(known);
    done_with(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_out_of_reach), cmocka_unit_test(test_losses),
        cmocka_unit_test(test_worker), cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
