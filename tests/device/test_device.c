/* What holds for a device besides the values of its operations: extremes, instances, memory, events, hooks, threads. */
#include "subjects.h"

#include "base/clock.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static void put_all(test_trial *trial, const char *name, double value)
{
    int index = trial_find(trial, name);
    for (int64_t at = 0; at < trial_values(trial, index); at++)
        trial_put(trial, index, trial->before[index], at, value);
}

static void put(test_trial *trial, const char *name, int64_t at, double value)
{
    int index = trial_find(trial, name);
    trial_put(trial, index, trial->before[index], at, value);
}

static double after(const test_trial *trial, const char *name, int64_t at)
{
    int index = trial_find(trial, name);
    return trial_get(trial, index, trial->after[index], at);
}

static weft_step_scalars *scalars_of(test_trial *trial, bool result)
{
    int index = trial_find(trial, "scalars");
    return result ? trial->after[index] : trial->before[index];
}

enum { ROWS = 5, WIDTH = 130 };
static const int64_t loss_sizes[MAX_SIZES] = {ROWS, WIDTH};

/* Ignored rows count neither in the loss nor in the gradient, whatever their logits are. */
static void test_ignored_targets(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    test_trial trial;
    trial_init(&trial, "cross_entropy_gradient", loss_sizes, subject->element);
    put_all(&trial, "logits", 0.0);
    put_all(&trial, "targets", -1.0);
    put(&trial, "logits", 2 * WIDTH + 7, (double)NAN);
    trial_run(&trial, kind, 1, false);
    assert_true(after(&trial, "out", 0) == 0.0);
    for (int64_t at = 0; at < ROWS * WIDTH; at++) assert_true(after(&trial, "logits", at) == 0.0);

    put(&trial, "targets", 1, 3.0);
    put(&trial, "targets", 4, 129.0);
    trial_run(&trial, kind, 1, false);
    assert_true(fabs(after(&trial, "out", 0) - 2.0 * log(WIDTH)) < 1e-5);
    for (int64_t at = 0; at < ROWS * WIDTH; at++) {
        const int64_t row = at / WIDTH;
        double expected = row == 1 || row == 4 ? 1.0 / WIDTH : 0.0;
        if (at == WIDTH + 3 || at == 4 * WIDTH + 129) expected -= 1.0;
        assert_true(fabs(after(&trial, "logits", at) - expected) <= fabs(expected) / 250.0);
    }
    trial_fini(&trial);
}

static void test_large_logits(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    test_trial trial;
    const double large = 9984.0; /* exact in bf16 */
    trial_init(&trial, "cross_entropy_gradient", loss_sizes, subject->element);
    put_all(&trial, "logits", -large);
    put_all(&trial, "targets", -1.0);
    put(&trial, "logits", 0 * WIDTH + 9, large);
    put(&trial, "targets", 0, 9.0);
    put(&trial, "logits", 3 * WIDTH + 129, large);
    put(&trial, "targets", 3, 0.0);
    trial_run(&trial, kind, 1, false);
    assert_true(after(&trial, "out", 0) == 2.0 * large);
    for (int64_t at = 0; at < ROWS * WIDTH; at++) {
        double expected = at == 3 * WIDTH + 129 ? 1.0 : at == 3 * WIDTH ? -1.0 : 0.0;
        assert_true(fabs(after(&trial, "logits", at) - expected) < 1e-6);
    }
    trial_fini(&trial);
}

/* Every non-finite logit of a counted row that spoils the probabilities must show in the loss. */
static void test_nonfinite_loss(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    const double bad[] = {(double)NAN, (double)INFINITY, (double)NAN, (double)-INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (int64_t at = 0; at < WIDTH; at += i == 3 ? WIDTH : 43) {
            test_trial trial;
            trial_init(&trial, i < 2 ? "cross_entropy" : "cross_entropy_gradient", loss_sizes, subject->element);
            put(&trial, "targets", 2, 0.0);
            put(&trial, "logits", 2 * WIDTH + at, bad[i]);
            trial_run(&trial, kind, 1, false);
            assert_false(isfinite(after(&trial, "out", 0)));
            trial_fini(&trial);
        }
    }
}

static void test_norm_finish(void **state)
{
    const weft_device_kind *kind = kind_or_skip(*state);
    static const int64_t sizes[MAX_SIZES] = {3};
    const double third[] = {16.0, (double)NAN, (double)INFINITY};
    test_trial trial;
    trial_init(&trial, "norm_finish", sizes, WEFT_FP32);
    for (int i = 0; i < 3; i++) {
        put(&trial, "sums", 0, 4.0);
        put(&trial, "sums", 1, 5.0);
        put(&trial, "sums", 2, third[i]);
        trial_run(&trial, kind, 1, false);
        assert_int_equal(scalars_of(&trial, true)->nonfinite, i > 0);
    }
    for (int i = 0; i < 3; i++) {
        const double clip[] = {2.0, 100.0, 0.0}, factor[] = {2.0 / (5.0 + 1e-6), 1.0, 1.0};
        put(&trial, "sums", 2, 16.0);
        scalars_of(&trial, false)->clip_norm = (float)clip[i];
        scalars_of(&trial, false)->nonfinite = 1;
        trial_run(&trial, kind, 1, false);
        assert_int_equal(scalars_of(&trial, true)->nonfinite, 0);
        assert_true(scalars_of(&trial, true)->norm == 5.0);
        assert_true(scalars_of(&trial, true)->clip_factor == (float)factor[i]);
    }
    trial_fini(&trial);
}

/* Of three losses and the norm, both limits themselves pass; what is beyond either does not, nor what is no number. */
static void test_judge(void **state)
{
    const weft_device_kind *kind = kind_or_skip(*state);
    static const int64_t sizes[MAX_SIZES] = {3, 2};
    const double none = (double)NAN, infinity = (double)INFINITY;
    const struct {
        double loss, norm, loss_limit, norm_limit; /* of the last of the losses, after 1 and 2 */
        int32_t skipped;
    } rows[] = {{9, 5, 3, 5, 0},
                {9.000001, 5, 3, 5, 1},
                {9, nextafter(5, 6), 3, 5, 1},
                {9, 5, nextafter(3, 2), 5, 1},
                {none, 5, DBL_MAX, DBL_MAX, 1},
                {9, none, DBL_MAX, DBL_MAX, 1},
                {infinity, 5, DBL_MAX, DBL_MAX, 1},
                {9, infinity, DBL_MAX, DBL_MAX, 1},
                {-infinity, 5, DBL_MAX, DBL_MAX, 1},
                {-9, 0, DBL_MAX, DBL_MAX, 0}};
    test_trial trial;
    trial_init(&trial, "judge", sizes, WEFT_FP32);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_step_scalars *scalars = scalars_of(&trial, false);
        for (size_t k = 0; k < 3; k++) {
            put(&trial, "losses", 2 * k, k < 2 ? (double)k + 1 : rows[i].loss);
            put(&trial, "losses", 2 * k + 1, none); /* what else a micro-batch tells */
        }
        scalars->norm = rows[i].norm;
        scalars->loss_limit = rows[i].loss_limit;
        scalars->norm_limit = rows[i].norm_limit;
        scalars->skipped = !rows[i].skipped;
        trial_run(&trial, kind, 1, false);
        assert_int_equal(scalars_of(&trial, true)->skipped, rows[i].skipped);
    }
    trial_fini(&trial);
}

static void test_square_sums_nonfinite(void **state)
{
    const weft_device_kind *kind = kind_or_skip(*state);
    static const int64_t sizes[MAX_SIZES] = {2 * WEFT_NORM_BLOCK + 17};
    const double bad[] = {(double)NAN, (double)INFINITY};
    for (int i = 0; i < 2; i++) {
        test_trial trial;
        trial_init(&trial, "square_sums", sizes, WEFT_FP32);
        put(&trial, "gradient", WEFT_NORM_BLOCK, bad[i]);
        put(&trial, "gradient", 0, 1e30);
        trial_run(&trial, kind, 1, false);
        assert_true(fabs(after(&trial, "sums", 0) - 1e60) < 1e54);
        assert_false(isfinite(after(&trial, "sums", 1)));
        assert_true(isfinite(after(&trial, "sums", 2)));
        trial_fini(&trial);
    }
}

static void test_adamw_skips(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    static const int64_t sizes[MAX_SIZES] = {1003, 1, 1};
    test_trial trial;
    trial_init(&trial, "adamw", sizes, subject->element);
    put_all(&trial, "storage", 0.25);
    for (int32_t nonfinite = 0; nonfinite < 2; nonfinite++) {
        scalars_of(&trial, false)->nonfinite = nonfinite;
        scalars_of(&trial, false)->skipped = !nonfinite;
        trial_run(&trial, kind, 2, false);
        for (int i = 0; i < trial.count; i++)
            assert_memory_equal(trial.before[i], trial.after[i], trial_bytes(&trial, i));
    }
    trial_fini(&trial);
}

/* The first step of AdamW moves each weight by the learning rate against the gradient's sign, after the decay. */
static void test_adamw_first_step(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    static const int64_t sizes[MAX_SIZES] = {67, 1, 1};
    test_trial trial;
    trial_init(&trial, "adamw", sizes, subject->element);
    put_all(&trial, "moment1", 0.0);
    put_all(&trial, "moment2", 0.0);
    put_all(&trial, "weight", 1.0);
    weft_step_scalars *scalars = scalars_of(&trial, false);
    scalars->correction1 = 1.0f - scalars->beta1;
    scalars->correction2 = 1.0f - scalars->beta2;
    trial_run(&trial, kind, 1, false);
    for (int64_t at = 0; at < sizes[0]; at++) {
        double sign = after(&trial, "gradient", at) > 0.0 ? 1.0 : -1.0;
        double expected = 1.0 - 0.01 * 0.1 - 0.01 * sign;
        assert_true(fabs(after(&trial, "weight", at) - expected) < 1e-6);
        assert_true(fabs(after(&trial, "storage", at) - expected) < 4e-3);
    }
    trial_fini(&trial);
}

static weft_device *create(const weft_device_kind *kind, weft_element element)
{
    const weft_device_options options = {.element = element, .threads = 1};
    weft_device *device = NULL;
    assert_int_equal(kind->create(&options, &device, NULL), WEFT_OK);
    return device;
}

static void *take(weft_device *device, weft_memory_kind kind, size_t bytes)
{
    void *memory = NULL;
    assert_int_equal(device->operations->allocate(device, kind, bytes, &memory, NULL), WEFT_OK);
    return memory;
}

typedef struct test_parts {
    int64_t grain;
    _Atomic int seen[1000], parts, misplaced;
} test_parts;

static void count_part(void *context, int64_t begin, int64_t end)
{
    test_parts *all = context;
    all->misplaced += begin % all->grain != 0;
    all->parts++;
    for (int64_t i = begin; i < end; i++) all->seen[i]++;
}

/* All of it once, by whatever number of threads, and by all of them where there is enough. */
static void test_divide(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    for (int32_t threads = 1; threads <= 5; threads++) {
        const weft_device_options options = {.element = subject->element, .threads = threads};
        weft_device *device = NULL;
        assert_int_equal(kind->create(&options, &device, NULL), WEFT_OK);
        for (int64_t count = 0; count <= 1000; count += 37) {
            test_parts all = {.grain = 1 + count % 50};
            weft_device_divide(device, count, all.grain, count_part, &all);
            assert_int_equal(all.misplaced, 0);
            for (int64_t i = 0; i < 1000; i++) assert_int_equal(all.seen[i], i < count);
            if (device->operations->divide && count >= threads * all.grain) assert_int_equal(all.parts, threads);
        }
        device->operations->destroy(device);
    }
}

/* By write and read, and by enqueued copies through pinned memory. */
static void test_memory(void **state)
{
    const test_subject *subject = *state;
    weft_device *device = create(kind_or_skip(subject), subject->element);
    const weft_device_operations *operations = device->operations;
    unsigned char host[300], back[300];
    const size_t bytes = sizeof host;
    unsigned char *memory = take(device, WEFT_MEMORY_DEVICE, bytes), *other = take(device, WEFT_MEMORY_DEVICE, bytes);
    unsigned char *pinned = take(device, WEFT_MEMORY_PINNED, bytes);
    assert_int_equal(device->element, subject->element);
    for (size_t i = 0; i < bytes; i++) host[i] = (unsigned char)(i * 7 + 1);
    assert_int_equal(operations->write(device, memory, host, bytes, NULL), WEFT_OK);
    operations->zero(device, NULL, memory + 100, 50);
    operations->copy(device, NULL, other, memory, bytes);
    assert_int_equal(operations->read(device, back, other, bytes, NULL), WEFT_OK);
    for (size_t i = 0; i < bytes; i++) assert_int_equal(back[i], i >= 100 && i < 150 ? 0 : host[i]);

    memcpy(pinned, host, bytes);
    operations->copy_in(device, NULL, memory, pinned, 200);
    assert_int_equal(operations->stream_wait(device, NULL, NULL), WEFT_OK);
    memset(pinned, 0, bytes);
    operations->copy_out(device, NULL, pinned, memory, bytes);
    assert_int_equal(operations->stream_wait(device, NULL, NULL), WEFT_OK);
    assert_memory_equal(pinned, host, bytes);
    for (int kind = WEFT_MEMORY_DEVICE; kind <= WEFT_MEMORY_PINNED; kind++) {
        weft_error error;
        void *too_much = NULL;
        assert_int_equal(operations->allocate(device, (weft_memory_kind)kind, SIZE_MAX, &too_much, &error),
                         WEFT_NO_MEMORY);
    }
    size_t left = 0, total = 0;
    assert_int_equal(operations->memory(device, &left, &total, NULL), WEFT_OK);
    assert_true(left > 0 && left <= total);
    unsigned char *all[] = {memory, other, pinned};
    for (int i = 0; i < 3; i++) operations->release(device, all[i]);
    operations->destroy(device);
    operations->destroy(NULL);
}

/* What threads divide among them: all of it is zeroed and copied, and nothing beside it. */
static void test_long_memory(void **state)
{
    enum { BYTES = (3 << 20) + 77, BESIDE = 5 };
    static unsigned char host[BYTES], back[BYTES];
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    for (int i = 0; i < BYTES; i++) host[i] = (unsigned char)(1 + i % 251);
    for (int32_t threads = 1; threads <= 3; threads++) {
        const weft_device_options options = {.element = subject->element, .threads = threads};
        weft_device *device = NULL;
        assert_int_equal(kind->create(&options, &device, NULL), WEFT_OK);
        const weft_device_operations *operations = device->operations;
        char *from = take(device, WEFT_MEMORY_DEVICE, BYTES), *to = take(device, WEFT_MEMORY_DEVICE, BYTES);
        assert_int_equal(operations->write(device, from, host, BYTES, NULL), WEFT_OK);
        assert_int_equal(operations->write(device, to, host, BYTES, NULL), WEFT_OK);
        operations->zero(device, NULL, to + BESIDE, BYTES - 2 * BESIDE);
        assert_int_equal(operations->read(device, back, to, BYTES, NULL), WEFT_OK);
        for (int i = 0; i < BYTES; i++)
            if (back[i] != (i < BESIDE || i >= BYTES - BESIDE ? host[i] : 0)) fail_msg("zeroed: byte %d", i);
        operations->copy(device, NULL, to + 2 * BESIDE, from + BESIDE, BYTES - 3 * BESIDE);
        assert_int_equal(operations->read(device, back, to, BYTES, NULL), WEFT_OK);
        for (int i = BESIDE; i < BYTES - BESIDE; i++)
            if (back[i] != (i < 2 * BESIDE ? 0 : host[i - BESIDE])) fail_msg("copied: byte %d", i);
        assert_memory_equal(back + BYTES - BESIDE, host + BYTES - BESIDE, BESIDE);
        operations->release(device, from);
        operations->release(device, to);
        operations->destroy(device);
    }
}

/* write and read are done when they return, also with pinned memory, and come behind what every stream was given; a
 * stream has done all when it is gone. */
static void test_done_on_return(void **state)
{
    enum { BYTES = 1024 };
    const test_subject *subject = *state;
    weft_device *device = create(kind_or_skip(subject), subject->element);
    const weft_device_operations *operations = device->operations;
    weft_stream *stream = NULL;
    unsigned char *memory = take(device, WEFT_MEMORY_DEVICE, BYTES), *pinned = take(device, WEFT_MEMORY_PINNED, BYTES);
    unsigned char expected[BYTES], back[BYTES];
    memset(expected, 7, BYTES);
    memset(pinned, 7, BYTES);
    assert_int_equal(operations->write(device, memory, pinned, BYTES, NULL), WEFT_OK);
    memset(pinned, 1, BYTES);
    assert_int_equal(operations->read(device, pinned, memory, BYTES, NULL), WEFT_OK);
    assert_memory_equal(pinned, expected, BYTES);
    assert_int_equal(operations->stream_create(device, WEFT_STREAM_TRANSFER, &stream, NULL), WEFT_OK);
    memset(pinned, 8, BYTES);
    memset(expected, 8, BYTES);
    operations->copy_in(device, stream, memory, pinned, BYTES);
    assert_int_equal(operations->read(device, back, memory, BYTES, NULL), WEFT_OK);
    assert_memory_equal(back, expected, BYTES);
    memset(pinned, 1, BYTES);
    operations->copy_out(device, stream, pinned, memory, BYTES);
    operations->stream_destroy(device, stream);
    assert_memory_equal(pinned, expected, BYTES);
    operations->release(device, memory);
    operations->release(device, pinned);
    operations->destroy(device);
}

static void test_events(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    weft_device *device = create(kind, subject->element);
    const weft_device_operations *operations = device->operations;
    weft_stream *stream = NULL;
    weft_event events[2];
    assert_int_equal(operations->stream_create(device, WEFT_STREAM_TRANSFER, &stream, NULL), WEFT_OK);
    assert_int_equal(operations->events_create(device, 2, events, NULL), WEFT_OK);
    assert_true(operations->event_done(device, &events[1]));
    int64_t before = weft_clock_nanoseconds();
    operations->event_record(device, NULL, &events[0]);
    operations->event_wait(device, stream, &events[0]);
    operations->event_record(device, stream, &events[1]);
    while (!operations->event_done(device, &events[1])) weft_clock_sleep(1e-5);
    assert_true(operations->event_done(device, &events[0]));
    int64_t first = operations->event_time(device, &events[0]), second = operations->event_time(device, &events[1]);
    assert_true(first >= before && second >= first && second <= weft_clock_nanoseconds());
    assert_int_equal(operations->stream_wait(device, stream, NULL), WEFT_OK);
    operations->events_destroy(device, 2, events);
    operations->stream_destroy(device, stream);
    operations->destroy(device);
}

/* Two streams take turns at the same memory, ordered by events alone. */
static void test_order(void **state)
{
    enum { BYTES = 1024 };
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    weft_device *device = create(kind, subject->element);
    const weft_device_operations *operations = device->operations;
    weft_stream *other = NULL;
    weft_event written, taken;
    unsigned char *memory = take(device, WEFT_MEMORY_DEVICE, BYTES),
                  *pinned = take(device, WEFT_MEMORY_PINNED, 3 * BYTES);
    unsigned char *out = pinned + 2 * BYTES, last[BYTES];
    assert_int_equal(operations->stream_create(device, WEFT_STREAM_TRANSFER, &other, NULL), WEFT_OK);
    assert_int_equal(operations->events_create(device, 1, &written, NULL), WEFT_OK);
    assert_int_equal(operations->events_create(device, 1, &taken, NULL), WEFT_OK);
    for (int i = 0; i < 2 * BYTES; i++) pinned[i] = (unsigned char)(i < BYTES ? i : 3 * i + 1);
    operations->copy_in(device, NULL, memory, pinned, BYTES);
    operations->event_record(device, NULL, &written);
    operations->event_wait(device, other, &written);
    operations->copy_out(device, other, out, memory, BYTES);
    operations->event_record(device, other, &taken);
    operations->event_wait(device, NULL, &taken);
    operations->copy_in(device, NULL, memory, pinned + BYTES, BYTES);
    assert_int_equal(operations->stream_wait(device, other, NULL), WEFT_OK);
    assert_memory_equal(out, pinned, BYTES);
    assert_int_equal(operations->read(device, last, memory, BYTES, NULL), WEFT_OK);
    assert_memory_equal(last, pinned + BYTES, BYTES);
    operations->events_destroy(device, 1, &written);
    operations->events_destroy(device, 1, &taken);
    operations->stream_destroy(device, other);
    operations->release(device, memory);
    operations->release(device, pinned);
    operations->destroy(device);
}

typedef struct test_hook {
    weft_device *device;
    float *a, *b, *sum;
    int calls, nested;
    bool inside;
} test_hook;

/* A hook may use the device, as one that drives reductions does, and is not called again meanwhile. */
static void count_call(void *context)
{
    test_hook *hook = context;
    const void *const parts[2] = {hook->a, hook->b};
    hook->calls++;
    if (hook->inside) {
        hook->nested++;
        return;
    }
    hook->inside = true;
    hook->device->operations->sum(hook->device, NULL, WEFT_FP32, 3, 2, parts, hook->sum);
    hook->inside = false;
}

static float *take_three(weft_device *device, float first, float second, float third)
{
    const float values[3] = {first, second, third};
    float *memory = take(device, WEFT_MEMORY_DEVICE, sizeof values);
    assert_int_equal(device->operations->write(device, memory, values, sizeof values, NULL), WEFT_OK);
    return memory;
}

static void test_between(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    const char *previous = "";
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        if (strcmp(row->operation, previous) == 0) continue;
        previous = row->operation;
        weft_device *device = create(kind, subject->element);
        test_hook hook = {.device = device,
                          .a = take_three(device, 1, 2, 3),
                          .b = take_three(device, 4, 5, 6),
                          .sum = take_three(device, 0, 0, 0)};
        test_trial trial;
        float sum[3];
        device->between = count_call;
        device->between_context = &hook;
        trial_init(&trial, row->operation, row->sizes, subject->element);
        trial_run_on(&trial, kind, device, false);
        if (hook.calls < 1 || hook.nested > 0) print_error("%s: the hook\n", row->operation);
        assert_true(hook.calls >= 1);
        assert_int_equal(hook.nested, 0);
        device->between = NULL;
        assert_int_equal(device->operations->read(device, sum, hook.sum, sizeof sum, NULL), WEFT_OK);
        assert_true(sum[2] == 9.0f);
        float *all[] = {hook.a, hook.b, hook.sum};
        for (int i = 0; i < 3; i++) device->operations->release(device, all[i]);
        trial_fini(&trial);
        device->operations->destroy(device);
    }
}

/* After a failure nothing is written any more, and the failure is reported. */
static void test_sticky_error(void **state)
{
    const test_subject *subject = *state;
    weft_device *device = create(kind_or_skip(subject), subject->element);
    const weft_device_operations *operations = device->operations;
    weft_error error, none = {0};
    float *a = take_three(device, 1, 2, 3), *to = take_three(device, 7, 7, 7), sum[3];
    const void *const parts[2] = {a, a};
    operations->sum(device, NULL, WEFT_FP32, 3, 2, parts, to);
    assert_int_equal(operations->stream_wait(device, NULL, &error), WEFT_OK);
    weft_fail(&device->error, WEFT_FAILED, "the product failed");
    operations->sum(device, NULL, WEFT_FP32, 3, 1, parts, to);
    operations->zero(device, NULL, to, sizeof sum);
    assert_int_equal(operations->read(device, sum, to, sizeof sum, &error), WEFT_FAILED);
    assert_int_equal(operations->stream_wait(device, NULL, &error), WEFT_FAILED);
    assert_int_equal(weft_device_check(device, &error), WEFT_FAILED);
    assert_string_equal(error.text, "the product failed");
    device->error = none;
    assert_int_equal(operations->read(device, sum, to, sizeof sum, &error), WEFT_OK);
    assert_true(sum[0] == 2.0f);
    operations->release(device, a);
    operations->release(device, to);
    operations->destroy(device);
}

typedef struct test_job {
    const weft_device_kind *kind;
    weft_element element;
    int different;
} test_job;

/* Runs in threads that cmocka does not know: counts instead of asserting. */
static void *run_cases(void *context)
{
    test_job *job = context;
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        if (!(row->uses & DIFFERENCES)) continue;
        test_trial alone, again;
        trial_init(&alone, row->operation, row->sizes, job->element);
        trial_init(&again, row->operation, row->sizes, job->element);
        trial_run(&alone, job->kind, 1, false);
        trial_run(&again, job->kind, 1, false);
        for (int i = 0; i < alone.count; i++) {
            if (alone.before[i] == NULL || alone.operands[i].role == IN) continue;
            job->different += trial_same_bits(&alone, &again, i) ? 0 : 1;
        }
        trial_fini(&again);
        trial_fini(&alone);
    }
    return NULL;
}

static void test_instances_in_threads(void **state)
{
    const weft_device_kind *kind = kind_or_skip(*state);
    test_job jobs[] = {{kind, WEFT_FP32, 0}, {kind, WEFT_BF16, 0}, {kind, WEFT_FP32, 0}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_cases, &jobs[i]), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(jobs[i].different, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        ALL_SUBJECTS(test_ignored_targets),
        ALL_SUBJECTS(test_large_logits),
        ALL_SUBJECTS(test_nonfinite_loss),
        ALL_KINDS(test_norm_finish),
        ALL_KINDS(test_judge),
        ALL_KINDS(test_square_sums_nonfinite),
        ALL_SUBJECTS(test_adamw_skips),
        ALL_SUBJECTS(test_adamw_first_step),
        ALL_KINDS(test_divide),
        ALL_SUBJECTS(test_memory),
        ALL_KINDS(test_long_memory),
        ALL_KINDS(test_done_on_return),
        ALL_SUBJECTS(test_events),
        ALL_KINDS(test_order),
        ALL_SUBJECTS(test_between),
        ALL_SUBJECTS(test_sticky_error),
        ALL_KINDS(test_instances_in_threads),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
