/*
 * Every operation of every kind of device in this build, in every element type; a kind that is absent is skipped.
 *
 * Usage: test_operations [TESTS [OPERATION...]]: tests whose names match a pattern, the cases of some operations.
 */
#include "subjects.h"

#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static char **chosen; /* names of operations: the cases of these alone; NULL: all */

static bool is_chosen(const char *operation)
{
    if (chosen == NULL) return true;
    for (char **name = chosen; *name != NULL; name++)
        if (strcmp(*name, operation) == 0) return true;
    return false;
}

static bool applies(const operation_case *row, const weft_device_kind *kind, unsigned use)
{
    return is_chosen(row->operation) && (row->uses & use) != 0 &&
           !((row->uses & CPU_SIZES) && strcmp(kind->name, "cpu") != 0);
}

/* Prints what failed, so that one run shows every failing case; returns 1. */
static int report(const test_trial *trial, int index, const char *what, double value, double bound)
{
    const int64_t *z = trial->sizes;
    print_error("%s {%lld %lld %lld %lld %lld %lld %lld} %s, %s: %s %.3g, allowed %.3g\n", trial->operation->name,
                (long long)z[0], (long long)z[1], (long long)z[2], (long long)z[3], (long long)z[4], (long long)z[5],
                (long long)z[6], weft_element_name(trial->element), index >= 0 ? trial->operands[index].name : "-",
                what, value, bound);
    return 1;
}

static int check_manners(const test_trial *trial)
{
    int failures = 0;
    if (trial->canary_hit) failures += report(trial, -1, "wrote behind the end of an operand", 1, 0);
    if (trial->input_changed) failures += report(trial, -1, "changed an input", 1, 0);
    return failures;
}

static double bound_of(const test_trial *trial, int index)
{
    const test_operation *operation = trial->operation;
    if (trial->element == WEFT_FP32) return operation->bounds.fp32;
    return trial->operands[index].type == STORAGE ? operation->bounds.bf16_storage : operation->bounds.bf16_other;
}

static int compare_with_reference(const operation_case *row, const weft_device_kind *kind, weft_element element)
{
    test_trial own, exact;
    int failures = 0;
    trial_init(&own, row->operation, row->sizes, element);
    trial_init_copy(&exact, &own, WEFT_FP32);
    trial_run(&own, kind, 1, false);
    trial_run(&exact, weft_device_kind_find("reference"), 1, false);
    for (int i = 0; i < own.count; i++) {
        if (own.before[i] == NULL || own.operands[i].role == IN) continue;
        double error = trial_error(&own, &exact, i), bound = bound_of(&own, i);
        if (error > bound) failures += report(&own, i, "differs from the reference by", error, bound);
    }
    failures += check_manners(&own);
    trial_fini(&exact);
    trial_fini(&own);
    return failures;
}

static void test_values(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0;
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        if (applies(row, kind, VALUES)) failures += compare_with_reference(row, kind, subject->element);
    }
    assert_int_equal(failures, 0);
}

/* sum(output * seed), or the output itself when there is no seed. */
static double objective(test_trial *forward, const test_trial *backward)
{
    const weft_device_kind *reference = weft_device_kind_find("reference");
    trial_run(forward, reference, 1, false);
    int output = trial_find(forward, backward->operation->differences.output);
    int seed = backward->operation->differences.seed ? trial_find(backward, backward->operation->differences.seed) : -1;
    double sum = 0.0;
    for (int64_t at = 0; at < trial_values(forward, output); at++) {
        double weight = seed >= 0 ? trial_get(backward, seed, backward->before[seed], at) : 1.0;
        sum += weight * trial_get(forward, output, forward->after[output], at);
    }
    return sum;
}

/* A direction of length 1: one element, or all of them. */
static void choose_direction(int64_t count, int probe, bool dense, double *direction)
{
    const weft_random_key key = weft_random_key_make(11, "direction");
    double length = 0.0;
    for (int64_t at = 0; at < count; at++) {
        direction[at] = dense ? weft_random_normal(key, (uint64_t)(probe * count + at)) : 0.0;
    }
    if (!dense) direction[(int64_t)(weft_random_uniform(key, (uint64_t)probe) * (double)count)] = 1.0;
    for (int64_t at = 0; at < count; at++) length += direction[at] * direction[at];
    for (int64_t at = 0; at < count; at++) direction[at] /= sqrt(length);
}

/* Central differences of fourth order: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h. */
static double difference(test_trial *forward, const test_trial *backward, int of, const double *direction)
{
    static const double steps[4] = {1, -1, 2, -2}, weights[4] = {8, -8, -1, 1};
    const double step = backward->operation->differences.step;
    const int64_t count = trial_values(forward, of);
    double *saved = NULL, sum = 0.0;
    assert_int_equal(weft_allocate((size_t)count, sizeof *saved, &saved, NULL), WEFT_OK);
    for (int64_t at = 0; at < count; at++) saved[at] = trial_get(forward, of, forward->before[of], at);
    for (int k = 0; k < 4; k++) {
        for (int64_t at = 0; at < count; at++) {
            trial_put(forward, of, forward->before[of], at, saved[at] + steps[k] * step * direction[at]);
        }
        sum += weights[k] * objective(forward, backward);
    }
    for (int64_t at = 0; at < count; at++) trial_put(forward, of, forward->before[of], at, saved[at]);
    weft_free(saved);
    return sum / (12.0 * step);
}

static double along(const test_trial *backward, int gradient, int residual, const double *direction)
{
    double sum = 0.0;
    for (int64_t at = 0; at < trial_values(backward, gradient); at++) {
        double value = trial_get(backward, gradient, backward->after[gradient], at);
        if (residual >= 0) value -= trial_get(backward, residual, backward->before[residual], at);
        sum += value * direction[at];
    }
    return sum;
}

enum { SINGLE_PROBES = 16, DENSE_PROBES = 4 };

static int check_pair(test_trial *forward, const test_trial *backward, const char *of_name, const char *gradient_name)
{
    int of = trial_find(forward, of_name), gradient = trial_find(backward, gradient_name);
    if (of < 0 || gradient < 0) return 0;
    int residual = trial_find(backward, "residual");
    const int64_t count = trial_values(forward, of);
    double *direction = NULL, error = 0.0, size = 0.0, bound = backward->operation->differences.bound;
    assert_int_equal(weft_allocate((size_t)count, sizeof *direction, &direction, NULL), WEFT_OK);
    for (int probe = 0; probe < SINGLE_PROBES + DENSE_PROBES; probe++) {
        choose_direction(count, probe, probe >= SINGLE_PROBES, direction);
        double own = along(backward, gradient, residual, direction);
        double expected = difference(forward, backward, of, direction);
        error += (own - expected) * (own - expected);
        size += expected * expected;
    }
    weft_free(direction);
    double relative = sqrt(error) / fmax(sqrt(size), 1e-3);
    if (relative <= bound) return 0;
    return report(backward, gradient, "differs from finite differences by", relative, bound);
}

static void test_gradients(void **state)
{
    const weft_device_kind *kind = kind_or_skip(*state);
    int failures = 0;
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        const test_operation *operation = operation_find(row->operation);
        if (operation->differences.forward == NULL || !applies(row, kind, DIFFERENCES)) continue;
        test_trial forward, backward;
        trial_init(&forward, operation->differences.forward, row->sizes, WEFT_FP32);
        trial_init(&backward, row->operation, row->sizes, WEFT_FP32);
        trial_run(&backward, kind, 1, false);
        for (int i = 0; i < MAX_PAIRS && operation->differences.pairs[i].of != NULL; i++) {
            failures += check_pair(&forward, &backward, operation->differences.pairs[i].of,
                                   operation->differences.pairs[i].gradient);
        }
        trial_fini(&backward);
        trial_fini(&forward);
    }
    assert_int_equal(failures, 0);
}

static void spoil_sums(test_trial *trial)
{
    for (int i = 0; i < trial->count; i++) {
        if (trial->operands[i].role != ADD || trial->before[i] == NULL) continue;
        for (int64_t at = 0; at < trial_values(trial, i); at++) {
            trial_put(trial, i, trial->before[i], at, (double)NAN);
        }
    }
}

/* added must be what was there + overwritten. */
static double sum_error(const test_trial *added, const test_trial *overwritten, int index)
{
    double error = 0.0, size = 0.0;
    for (int64_t at = 0; at < trial_values(added, index); at++) {
        double expected = trial_get(added, index, added->before[index], at) +
                          trial_get(overwritten, index, overwritten->after[index], at);
        double own = trial_get(added, index, added->after[index], at);
        error += (own - expected) * (own - expected);
        size += expected * expected;
    }
    error = sqrt(error) / fmax(sqrt(size), 1e-6);
    return isfinite(error) ? error : (double)INFINITY;
}

static bool has_sums(const test_operation *operation, const int64_t *sizes)
{
    test_operand operands[MAX_OPERANDS];
    int count = operation->describe(sizes, operands), sums = 0;
    for (int i = 0; i < count; i++) sums += operands[i].role == ADD;
    return sums > 0;
}

static void test_accumulate(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0, sums = 0;
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        if (!applies(row, kind, VALUES) || !has_sums(operation_find(row->operation), row->sizes)) continue;
        test_trial added, overwritten;
        trial_init(&added, row->operation, row->sizes, subject->element);
        trial_init_copy(&overwritten, &added, subject->element);
        spoil_sums(&overwritten);
        trial_run(&added, kind, 1, true);
        trial_run(&overwritten, kind, 1, false);
        for (int i = 0; i < added.count; i++) {
            if (added.operands[i].role != ADD || added.before[i] == NULL) continue;
            double error = sum_error(&added, &overwritten, i);
            if (error > 1e-6) failures += report(&added, i, "does not add: error", error, 1e-6);
            sums++;
        }
        trial_fini(&overwritten);
        trial_fini(&added);
    }
    assert_int_equal(failures, 0);
    assert_true(sums > 10 || chosen != NULL);
}

static int compare_bits(const test_trial *first, const test_trial *second, const char *what)
{
    int failures = 0;
    for (int i = 0; i < first->count; i++) {
        if (first->before[i] == NULL || first->operands[i].role == IN) continue;
        if (!trial_same_bits(first, second, i)) failures += report(first, i, what, trial_error(first, second, i), 0);
    }
    return failures;
}

static void test_same_bits(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0;
    for (const operation_case *row = operation_cases; row->operation != NULL; row++) {
        if (!applies(row, kind, BITS)) continue;
        test_trial first, second;
        trial_init(&first, row->operation, row->sizes, subject->element);
        trial_init_copy(&second, &first, subject->element);
        trial_run(&first, kind, 1, true);
        trial_run(&second, kind, 1, true);
        failures += compare_bits(&first, &second, "other bits in a second run: error");
        trial_run(&second, kind, 2, true);
        failures += compare_bits(&first, &second, "other bits with two threads: error");
        failures += check_manners(&second);
        trial_fini(&second);
        trial_fini(&first);
    }
    assert_int_equal(failures, 0);
}

/* Replaces the tokens after position keep, in every sequence, by others. */
static void change_future(test_trial *trial, int64_t keep)
{
    const int64_t B = trial->sizes[0], T = trial->sizes[1];
    int qkv = trial_find(trial, "qkv");
    const int64_t width = trial_values(trial, qkv) / (B * T);
    for (int64_t row = 0; row < B * T; row++) {
        if (row % T <= keep) continue;
        for (int64_t i = 0; i < width; i++) {
            trial_put(trial, qkv, trial->before[qkv], row * width + i, (double)((row * 7 + i * 3) % 11) - 5.0);
        }
    }
}

static int compare_past(const test_trial *first, const test_trial *second, int64_t keep)
{
    const int64_t B = first->sizes[0], T = first->sizes[1], H = first->sizes[2], D = first->sizes[4];
    int out = trial_find(first, "out"), kept = trial_find(first, "logsumexp"), failures = 0;
    const size_t bytes = (size_t)(H * D) * weft_element_bytes(first->element);
    for (int64_t row = 0; row < B * T; row++) {
        const char *a = (const char *)first->after[out] + (size_t)row * bytes;
        const char *b = (const char *)second->after[out] + (size_t)row * bytes;
        bool past = row % T <= keep, same = memcmp(a, b, bytes) == 0;
        if (same != past)
            failures += report(first, out, past ? "looks ahead to token" : "ignores token", (double)row, 0);
    }
    for (int64_t row = 0; row < B * H * T; row++) {
        bool same = ((const float *)first->after[kept])[row] == ((const float *)second->after[kept])[row];
        if (row % T <= keep && !same) failures += report(first, kept, "looks ahead to token", (double)row, 0);
    }
    return failures;
}

static void test_attention_is_causal(void **state)
{
    static const int64_t sizes[][MAX_SIZES] = {{2, 37, 4, 2, 16}, {1, 131, 2, 2, 16}, {1, 67, 3, 1, 64}};
    static const int64_t keeps[] = {0, 15, 20, 31, 35};
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizeof keeps / sizeof keeps[0]; k++) {
            test_trial first, second;
            trial_init(&first, "attention_forward", sizes[i], subject->element);
            trial_init(&second, "attention_forward", sizes[i], subject->element);
            change_future(&second, keeps[k]);
            trial_run(&first, kind, 2, false);
            trial_run(&second, kind, 2, false);
            failures += compare_past(&first, &second, keeps[k]);
            trial_fini(&second);
            trial_fini(&first);
        }
    }
    assert_int_equal(failures, 0);
}

/* Copies elements of an operand into one of another trial. */
static void copy_values(const test_trial *from, int source, int64_t at, test_trial *to, int target, int64_t into,
                        int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        trial_put(to, target, to->before[target], into + i, trial_get(from, source, from->before[source], at + i));
}

/* One sequence whose last `rows` tokens of past + rows come behind the others: what attention of all gives them. */
static int compare_step(const weft_device_kind *kind, weft_element element, const int64_t *sizes, int64_t past,
                        int64_t rows)
{
    test_trial whole, step;
    int64_t stepping[MAX_SIZES], D = sizes[4], queries = sizes[2] * D, keys = 2 * sizes[3] * D, width = queries + keys;
    memcpy(stepping, sizes, sizeof stepping);
    stepping[6] = past * MOST_RUNS + rows;
    trial_init(&whole, "attention_forward", sizes, element);
    trial_init(&step, "attention_step", stepping, element);
    int qkv = trial_find(&whole, "qkv"), own = trial_find(&step, "qkv"), cache = trial_find(&step, "cache");
    for (int64_t t = 0; t < past; t++) copy_values(&whole, qkv, t * width + queries, &step, cache, t * keys, keys);
    copy_values(&whole, qkv, past * width, &step, own, 0, rows * width);
    trial_run(&whole, kind, 2, false);
    trial_run(&step, kind, 2, false);
    int out = trial_find(&whole, "out"), stepped = trial_find(&step, "out");
    double difference = 0, length = 0;
    for (int64_t i = 0; i < rows * queries; i++) {
        double exact = trial_get(&whole, out, whole.after[out], past * queries + i);
        difference += pow(trial_get(&step, stepped, step.after[stepped], i) - exact, 2);
        length += exact * exact;
    }
    double error = sqrt(difference / length), bound = element == WEFT_FP32 ? 2e-6 : 1e-2;
    int failures = check_manners(&step) + (error <= bound ? 0 : report(&step, stepped, "differs by", error, bound));
    trial_fini(&step);
    trial_fini(&whole);
    return failures;
}

static void test_attention_goes_on(void **state)
{
    static const int64_t sizes[][MAX_SIZES] = {{1, 37, 4, 2, 16}, {1, 150, 3, 1, 8}, {1, 61, 2, 2, 32, 9}};
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0;
    for (int i = 0; i < 3; i++) {
        const int64_t T = sizes[i][1];
        failures += compare_step(kind, subject->element, sizes[i], 0, 1);
        failures += compare_step(kind, subject->element, sizes[i], 0, 33);
        failures += compare_step(kind, subject->element, sizes[i], 11, 5);
        failures += compare_step(kind, subject->element, sizes[i], T - 1, 1);
    }
    assert_int_equal(failures, 0);
}

/* A window as long as the sequence, and one document in each, are no mask: the same bits. */
static void test_attention_without_a_mask(void **state)
{
    static const int64_t plain[][MAX_SIZES] = {{2, 37, 4, 2, 16}, {2, 300, 2, 1, 16}};
    static const char *const operations[] = {"attention_forward", "attention_backward"};
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    int failures = 0;
    for (int i = 0; i < 12; i++) {
        int64_t sizes[MAX_SIZES];
        const char *operation = operations[i / 2 % 2];
        memcpy(sizes, plain[i % 2], sizeof sizes);
        if (i / 4 != 1) sizes[5] = sizes[1];
        if (i / 4 != 0) sizes[6] = 1;
        test_trial none, masked;
        trial_init(&none, operation, plain[i % 2], subject->element);
        trial_init(&masked, operation, sizes, subject->element);
        trial_run(&none, kind, 1, false);
        trial_run(&masked, kind, 1, false);
        failures += compare_bits(&masked, &none, "other bits than without a mask: error");
        trial_fini(&masked);
        trial_fini(&none);
    }
    assert_int_equal(failures, 0);
}

/* Where element i of an operand of a document alone lies in that of the packed sequence, which has it from token `from`
 * on. */
static int64_t packed_place(const test_trial *packed, const test_trial *alone, const char *name, int64_t from,
                            int64_t i)
{
    const int64_t T = packed->sizes[1], own = alone->sizes[1];
    if (strcmp(name, "logsumexp") == 0) return i / own * T + from + i % own;
    return from * (trial_values(packed, trial_find(packed, name)) / T) + i;
}

static void cut_rows(const test_trial *packed, const test_trial *alone, const char *name, int64_t from)
{
    const int there = trial_find(packed, name), here = trial_find(alone, name);
    for (int64_t i = 0; i < trial_values(alone, here); i++) {
        int64_t at = packed_place(packed, alone, name, from, i);
        trial_put(alone, here, alone->before[here], i, trial_get(packed, there, packed->before[there], at));
    }
}

static double packed_error(const test_trial *packed, const test_trial *alone, const char *name, int64_t from)
{
    const int there = trial_find(packed, name), here = trial_find(alone, name);
    double error = 0.0, size = 0.0;
    for (int64_t i = 0; i < trial_values(alone, here); i++) {
        int64_t at = packed_place(packed, alone, name, from, i);
        double own = trial_get(alone, here, alone->after[here], i);
        double other = trial_get(packed, there, packed->after[there], at);
        error += (own - other) * (own - other);
        size += own * own;
    }
    error = sqrt(error) / fmax(sqrt(size), 1e-6);
    return isfinite(error) ? error : (double)INFINITY;
}

/* Two documents one behind the other: each as it is alone; on what adds in ascending order, bit for bit. */
static int compare_packed(const char *operation, const weft_device_kind *kind, weft_element element, int64_t cut)
{
    static const char *const inputs[] = {"qkv", "out", "logsumexp", "dout"};
    static const char *const outputs[] = {"out", "logsumexp", "dqkv"};
    const int64_t sizes[MAX_SIZES] = {1, 300, 4, 2, 16, 0, 2}, begins[2] = {0, cut}, counts[2] = {cut, 300 - cut};
    int failures = 0;
    test_trial packed;
    trial_init(&packed, operation, sizes, element);
    const int documents = trial_find(&packed, "documents");
    for (int64_t t = 0; t < sizes[1]; t++)
        trial_put(&packed, documents, packed.before[documents], t, t < cut ? 0.0 : (double)cut);
    trial_run(&packed, kind, 2, false);
    for (int part = 0; part < 2; part++) {
        const int64_t own[MAX_SIZES] = {1, counts[part], 4, 2, 16};
        test_trial alone;
        trial_init(&alone, operation, own, element);
        for (int i = 0; i < 4; i++) {
            int index = trial_find(&alone, inputs[i]);
            if (index >= 0 && alone.operands[index].role == IN) cut_rows(&packed, &alone, inputs[i], begins[part]);
        }
        trial_run(&alone, kind, 1, false);
        for (int i = 0; i < 3; i++) {
            int index = trial_find(&alone, outputs[i]);
            if (index < 0 || alone.operands[index].role != OUT) continue;
            double error = packed_error(&packed, &alone, outputs[i], begins[part]);
            double bound = strcmp(kind->name, "cpu") == 0 ? bound_of(&alone, index) : 0.0;
            if (error > bound) failures += report(&packed, index, "differs from the document alone by", error, bound);
        }
        trial_fini(&alone);
    }
    trial_fini(&packed);
    return failures;
}

static void test_attention_packed(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    static const int64_t cuts[] = {1, 128, 200, 299};
    int failures = 0;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        failures += compare_packed("attention_forward", kind, subject->element, cuts[i]);
        failures += compare_packed("attention_backward", kind, subject->element, cuts[i]);
    }
    assert_int_equal(failures, 0);
}

/* Keys more than a block of 128 away that nobody sees, of another document or beyond the window, are not read: NaN
 * there changes no bit of the rows that do not see them. */
static void test_attention_skips(void **state)
{
    static const int64_t sizes[][MAX_SIZES] = {
        {2, 512, 2, 1, 16, 0, 2}, {2, 512, 2, 1, 16, 100}, {1, 400, 2, 1, 16, 40}, {1, 400, 2, 1, 64, 100, 2}};
    static const char *const operations[] = {"attention_forward", "attention_backward"};
    enum { BLOCK = 128, FROM = 256, TO = 384 };
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    for (int i = 0; i < 2 * (int)(sizeof sizes / sizeof sizes[0]); i++) {
        test_trial clean, spoiled;
        trial_init(&clean, operations[i % 2], sizes[i / 2], subject->element);
        const int64_t T = sizes[i / 2][1];
        const int documents = trial_find(&clean, "documents"), qkv = trial_find(&clean, "qkv");
        for (int64_t row = 0; documents >= 0 && row < trial_values(&clean, documents); row++)
            trial_put(&clean, documents, clean.before[documents], row, row % T < FROM ? 0 : FROM);
        trial_init_copy(&spoiled, &clean, subject->element);
        const int64_t width = trial_values(&clean, qkv) / sizes[i / 2][0] / T;
        for (int64_t at = 0; at < trial_values(&clean, qkv); at++) {
            if (at / width % T < BLOCK) trial_put(&spoiled, qkv, spoiled.before[qkv], at, (double)NAN);
        }
        trial_run(&clean, kind, 1, false);
        trial_run(&spoiled, kind, 1, false);
        const int out = trial_find(&clean, i % 2 ? "dqkv" : "out");
        const size_t row_bytes = trial_bytes(&clean, out) / (size_t)(sizes[i / 2][0] * T);
        for (int64_t b = 0; b < sizes[i / 2][0]; b++) {
            const size_t at = (size_t)(b * T + FROM) * row_bytes, bytes = (size_t)(TO - FROM) * row_bytes;
            assert_memory_equal((char *)clean.after[out] + at, (char *)spoiled.after[out] + at, bytes);
        }
        trial_fini(&spoiled);
        trial_fini(&clean);
    }
}

/* dx may be the residual itself. */
static void test_in_place(void **state)
{
    const test_subject *subject = *state;
    const weft_device_kind *kind = kind_or_skip(subject);
    static const int64_t sizes[][MAX_SIZES] = {{WEFT_LAYERNORM, 17, 130, 1, 1}, {WEFT_RMSNORM, 3, 5, 0, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        test_trial separate, same;
        trial_init(&separate, "norm_backward_input", sizes[i], subject->element);
        trial_init(&same, "norm_backward_in_place", sizes[i], subject->element);
        trial_run(&separate, kind, 1, false);
        trial_run(&same, kind, 2, false);
        int dx = trial_find(&separate, "dx"), residual = trial_find(&same, "residual");
        assert_memory_equal(same.after[residual], separate.after[dx], trial_bytes(&separate, dx));
        trial_fini(&same);
        trial_fini(&separate);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        ALL_SUBJECTS(test_values),
        ALL_KINDS(test_gradients),
        ALL_SUBJECTS(test_accumulate),
        ALL_SUBJECTS(test_same_bits),
        ALL_SUBJECTS(test_attention_is_causal),
        ALL_SUBJECTS(test_attention_goes_on),
        ALL_SUBJECTS(test_attention_without_a_mask),
        ALL_SUBJECTS(test_attention_packed),
        ALL_SUBJECTS(test_attention_skips),
        ALL_SUBJECTS(test_in_place),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    if (argc > 2) chosen = argv + 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
