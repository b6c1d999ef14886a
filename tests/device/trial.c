#include "operations.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A trial that cannot be set up is a broken test, not a failed one; helpers run in threads too, where cmocka cannot. */
static void *take(size_t bytes)
{
    void *memory = NULL;
    if (weft_allocate(bytes, 1, &memory, NULL) != WEFT_OK) abort();
    return memory;
}

static weft_step_scalars example_scalars(void)
{
    return (weft_step_scalars){.learning_rate = 0.01f,
                               .beta1 = 0.9f,
                               .beta2 = 0.95f,
                               .epsilon = 1e-8f,
                               .weight_decay = 0.1f,
                               .correction1 = 1.0f - 0.9f * 0.9f * 0.9f,
                               .correction2 = 1.0f - 0.95f * 0.95f * 0.95f,
                               .clip_norm = 1.5f,
                               .clip_factor = 0.7f,
                               .loss_gradient_scale = 1.0f,
                               .targets = 4.0,
                               .loss_limit = 2.0,
                               .norm_limit = 3.0};
}

static size_t type_bytes(const test_trial *trial, operand_type type)
{
    switch (type) {
    case STORAGE:
        return weft_element_bytes(trial->element);
    case FLOAT:
    case INTEGER:
        return 4;
    case DOUBLE:
        return 8;
    case SCALARS:
        return sizeof(weft_step_scalars);
    }
    abort();
}

size_t trial_bytes(const test_trial *trial, int index)
{
    return (size_t)trial->operands[index].count * type_bytes(trial, trial->operands[index].type);
}

int64_t trial_values(const test_trial *trial, int index)
{
    const test_operand *operand = &trial->operands[index];
    return operand->type == SCALARS ? SCALARS_VALUES : operand->count;
}

static double scalars_get(const weft_step_scalars *s, int64_t at)
{
    const double values[SCALARS_VALUES] = {(double)s->learning_rate,
                                           (double)s->beta1,
                                           (double)s->beta2,
                                           (double)s->epsilon,
                                           (double)s->weight_decay,
                                           (double)s->correction1,
                                           (double)s->correction2,
                                           (double)s->clip_norm,
                                           (double)s->clip_factor,
                                           (double)s->loss_gradient_scale,
                                           (double)s->nonfinite,
                                           s->norm,
                                           (double)s->skipped,
                                           s->targets,
                                           s->loss_limit,
                                           s->norm_limit};
    return values[at];
}

double trial_get(const test_trial *trial, int index, const void *bytes, int64_t at)
{
    switch (trial->operands[index].type) {
    case STORAGE:
        if (trial->element == WEFT_BF16) return (double)weft_bf16_to_float(((const uint16_t *)bytes)[at]);
        return (double)((const float *)bytes)[at];
    case FLOAT:
        return (double)((const float *)bytes)[at];
    case DOUBLE:
        return ((const double *)bytes)[at];
    case INTEGER:
        return (double)((const int32_t *)bytes)[at];
    case SCALARS:
        return scalars_get(bytes, at);
    }
    abort();
}

void trial_put(const test_trial *trial, int index, void *bytes, int64_t at, double value)
{
    switch (trial->operands[index].type) {
    case STORAGE:
        if (trial->element == WEFT_BF16) {
            ((uint16_t *)bytes)[at] = weft_bf16_from_float((float)value);
        } else {
            ((float *)bytes)[at] = (float)value;
        }
        return;
    case FLOAT:
        ((float *)bytes)[at] = (float)value;
        return;
    case DOUBLE:
        ((double *)bytes)[at] = value;
        return;
    case INTEGER:
        ((int32_t *)bytes)[at] = (int32_t)value;
        return;
    case SCALARS:
        *(weft_step_scalars *)bytes = example_scalars();
        return;
    }
    abort();
}

int trial_find(const test_trial *trial, const char *name)
{
    for (int i = 0; i < trial->count; i++) {
        if (trial->before[i] != NULL && strcmp(trial->operands[i].name, name) == 0) return i;
    }
    return -1;
}

/* The last of the sequence's runs that begins at t or before; the first begins at 0. */
static double run_begin(weft_random_key key, int64_t at, int64_t T, int64_t runs)
{
    double begin = 0.0;
    for (int64_t run = 1; run < runs; run++) {
        double place = floor(weft_random_uniform(key, (uint64_t)(at / T * MOST_RUNS + run)) * (double)T);
        if (place <= (double)(at % T) && place > begin) begin = place;
    }
    return begin;
}

static double fill_value(const test_operand *operand, int64_t at)
{
    const bool angle = operand->fill == COSINE || operand->fill == SINE;
    const weft_random_key key = weft_random_key_make(7, angle ? "angle" : operand->name);
    const uint64_t counter = (uint64_t)at;
    const bool bell = operand->fill == NORMAL || operand->fill == POSITIVE;
    double normal = bell ? weft_random_normal(key, counter) : 0.0;
    double uniform = bell ? 0.0 : weft_random_uniform(key, counter);
    switch (operand->fill) {
    case NORMAL:
        return normal;
    case POSITIVE:
        return normal * normal;
    case TOKENS:
        return floor(uniform * (double)operand->limit);
    case RUNS:
        return run_begin(key, at, operand->limit / MOST_RUNS, operand->limit % MOST_RUNS);
    case PERMUTED:
        return (double)weft_random_permute(key, counter, (uint64_t)operand->count);
    case TARGETS:
        return at % 4 == 1 ? -1.0 : floor(uniform * (double)operand->limit);
    case COSINE:
        return cos(6.28 * uniform);
    case SINE:
        return sin(6.28 * uniform);
    }
    abort();
}

static void describe(test_trial *trial, const test_operation *operation, const int64_t *sizes, weft_element element)
{
    memset(trial, 0, sizeof *trial);
    trial->operation = operation;
    trial->sizes = sizes;
    trial->element = element;
    trial->count = operation->describe(sizes, trial->operands);
    for (int i = 0; i < trial->count; i++) {
        size_t bytes = trial_bytes(trial, i);
        if (bytes == 0) continue;
        trial->before[i] = take(bytes);
        trial->after[i] = take(bytes);
    }
}

static void fill(test_trial *trial)
{
    for (int i = 0; i < trial->count; i++) {
        const test_operand *operand = &trial->operands[i];
        for (int64_t at = 0; at < operand->count; at++) {
            double value = operand->role == OUT ? (double)NAN : fill_value(operand, at);
            trial_put(trial, i, trial->before[i], at, value);
        }
    }
}

/* Whether the forward operation gives something that this one reads: mean, rstd, out or logsumexp. */
static bool reads_forward(const test_trial *backward)
{
    test_operand given[MAX_OPERANDS];
    int count = operation_find(backward->operation->differences.forward)->describe(backward->sizes, given);
    for (int i = 0; i < count; i++) {
        int here = trial_find(backward, given[i].name);
        if (given[i].role == OUT && here >= 0 && backward->operands[here].role == IN) return true;
    }
    return false;
}

static void fill_from_forward(test_trial *backward)
{
    test_trial rounded, forward;
    trial_init(&rounded, backward->operation->differences.forward, backward->sizes, backward->element);
    trial_init_copy(&forward, &rounded, WEFT_FP32);
    trial_run(&forward, weft_device_kind_find("reference"), 1, false);
    for (int i = 0; i < backward->count; i++) {
        int from = trial_find(&forward, backward->operands[i].name);
        if (from < 0 || forward.operands[from].role != OUT || backward->operands[i].role != IN) continue;
        for (int64_t at = 0; at < backward->operands[i].count; at++) {
            trial_put(backward, i, backward->before[i], at, trial_get(&forward, from, forward.after[from], at));
        }
    }
    trial_fini(&forward);
    trial_fini(&rounded);
}

void trial_init(test_trial *trial, const char *name, const int64_t *sizes, weft_element element)
{
    const test_operation *operation = operation_find(name);
    if (operation == NULL) abort();
    describe(trial, operation, sizes, element);
    fill(trial);
    if (operation->differences.forward != NULL && reads_forward(trial)) fill_from_forward(trial);
}

void trial_init_copy(test_trial *copy, const test_trial *from, weft_element element)
{
    describe(copy, from->operation, from->sizes, element);
    for (int i = 0; i < copy->count; i++) {
        for (int64_t at = 0; at < copy->operands[i].count; at++) {
            trial_put(copy, i, copy->before[i], at, trial_get(from, i, from->before[i], at));
        }
        if (copy->operands[i].type == SCALARS) memcpy(copy->before[i], from->before[i], trial_bytes(from, i));
    }
}

void trial_fini(test_trial *trial)
{
    for (int i = 0; i < trial->count; i++) {
        weft_free(trial->before[i]);
        weft_free(trial->after[i]);
    }
}

enum { CANARY_BYTES = 64, CANARY = 0xa5 };

static void send(weft_device *device, void *to, const void *host, size_t bytes)
{
    if (device->operations->write(device, to, host, bytes, NULL) != WEFT_OK) abort();
}

/* Of an instance that failed nothing comes back. */
static void fetch(weft_device *device, void *host, const void *from, size_t bytes)
{
    if (device->operations->read(device, host, from, bytes, NULL) != WEFT_OK) memset(host, 0, bytes);
}

static void copy_in(test_trial *trial, weft_device *device, void **memory)
{
    unsigned char canary[CANARY_BYTES];
    memset(canary, CANARY, sizeof canary);
    for (int i = 0; i < trial->count; i++) {
        size_t bytes = trial_bytes(trial, i);
        memory[i] = NULL;
        if (bytes == 0) continue;
        if (device->operations->allocate(device, WEFT_MEMORY_DEVICE, bytes + CANARY_BYTES, &memory[i], NULL)) abort();
        send(device, memory[i], trial->before[i], bytes);
        send(device, (char *)memory[i] + bytes, canary, sizeof canary);
    }
}

static void copy_out(test_trial *trial, weft_device *device, void **memory)
{
    for (int i = 0; i < trial->count; i++) {
        unsigned char canary[CANARY_BYTES];
        size_t bytes = trial_bytes(trial, i);
        if (bytes == 0) continue;
        fetch(device, trial->after[i], memory[i], bytes);
        fetch(device, canary, (char *)memory[i] + bytes, sizeof canary);
        for (int k = 0; k < CANARY_BYTES; k++) trial->canary_hit = trial->canary_hit || canary[k] != CANARY;
        bool same = memcmp(trial->before[i], trial->after[i], bytes) == 0;
        if (trial->operands[i].role == IN && !same) trial->input_changed = true;
        device->operations->release(device, memory[i]);
    }
}

void trial_run_on(test_trial *trial, const weft_device_kind *kind, weft_device *device, bool accumulate)
{
    const weft_device_options options = {.element = trial->element, .threads = device->threads};
    void *memory[MAX_OPERANDS], *workspace = NULL;
    size_t bytes = 0;
    if (trial->operation->workspace_bytes) bytes = trial->operation->workspace_bytes(kind, &options, trial->sizes);
    if (bytes > 0) {
        void *junk = take(bytes);
        memset(junk, 0xff, bytes);
        if (device->operations->allocate(device, WEFT_MEMORY_DEVICE, bytes, &workspace, NULL) != WEFT_OK) abort();
        send(device, workspace, junk, bytes);
        weft_free(junk);
    }
    trial->canary_hit = trial->input_changed = false;
    void (*between)(void *context) = device->between;
    device->between = NULL;
    copy_in(trial, device, memory);
    device->between = between;
    trial->operation->run(device, trial->sizes, memory, accumulate, workspace);
    device->between = NULL;
    copy_out(trial, device, memory);
    device->between = between;
    device->operations->release(device, workspace);
}

void trial_run(test_trial *trial, const weft_device_kind *kind, int32_t threads, bool accumulate)
{
    const weft_device_options options = {.element = trial->element, .threads = threads};
    weft_device *device = NULL;
    if (kind->create(&options, &device, NULL) != WEFT_OK) abort();
    trial_run_on(trial, kind, device, accumulate);
    device->operations->destroy(device);
}

double trial_error(const test_trial *a, const test_trial *b, int index)
{
    double difference = 0.0, size = 0.0;
    const int64_t count = trial_values(a, index);
    for (int64_t at = 0; at < count; at++) {
        double left = trial_get(a, index, a->after[index], at), right = trial_get(b, index, b->after[index], at);
        if (isinf(left) && left == right) continue;
        difference += (left - right) * (left - right);
        size += right * right;
    }
    double error = sqrt(difference) / fmax(sqrt(size), 1e-6 * sqrt((double)count));
    return isfinite(error) ? error : (double)INFINITY;
}

bool trial_same_bits(const test_trial *a, const test_trial *b, int index)
{
    return memcmp(a->after[index], b->after[index], trial_bytes(a, index)) == 0;
}

bool kind_is_here(const weft_device_kind *kind)
{
    return kind->count == NULL || kind->count() > 0;
}
