/* Documents packed into one sequence: the losses and gradients of each alone. */
#include "rig.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 5, SECOND = 7, T = FIRST + SECOND };

static const int32_t whole[] = {3}, halves[] = {1, 2};

/* What a step leaves: its loss, and gradients as sums over its targets. */
typedef struct {
    float loss;
    double *gradients;
    size_t count;
} result;

static result run(const weft_device_kind *kind, const weft_model_config *model, const rig_plan *plan, int64_t length,
                  const int32_t *tokens, const int32_t *targets, const int32_t *documents, const int32_t *positions)
{
    model_rig rig;
    result out = {0};
    int64_t counted = 0;
    rig_init(&rig, kind, WEFT_FP32, model, 1, length);
    rig.documents = documents;
    rig.positions = positions;
    rig_step(&rig, plan, 1, tokens, targets, &out.loss);
    for (int64_t i = 0; i < length; i++) counted += targets[i] >= 0;
    for (int32_t p = 0; p < rig.count; p++) out.count += (size_t)rig.parameters[p].elements;
    out.gradients = calloc(out.count, sizeof *out.gradients);
    float *values = calloc(out.count, sizeof *values);
    assert_true(out.gradients && values);
    size_t at = 0;
    for (int32_t p = 0; p < rig.count; p++) {
        size_t elements = (size_t)rig.parameters[p].elements;
        rig_read(&rig, values, rig.gradient[p], elements * sizeof *values);
        for (size_t i = 0; i < elements; i++) out.gradients[at++] = (double)values[i] * (double)counted;
    }
    free(values);
    rig_fini(&rig);
    return out;
}

static void expect_sum(const result *packed, const result *first, const result *second, const char *what)
{
    double largest = 0, off = 0;
    assert_int_equal(packed->count, first->count);
    for (size_t i = 0; i < packed->count; i++) {
        double sum = first->gradients[i] + second->gradients[i];
        largest = fmax(largest, fabs(sum));
        off = fmax(off, fabs(packed->gradients[i] - sum));
    }
    double loss = (double)first->loss + (double)second->loss;
    if (!(fabs((double)packed->loss - loss) <= 1e-6 * loss))
        fail_msg("%s: loss %g, not %g", what, (double)packed->loss, loss);
    if (!(off <= 3e-6 * largest)) fail_msg("%s: gradients are %g off, the largest is %g", what, off, largest);
}

static void check(const weft_device_kind *kind, const weft_model_config *model, const rig_plan *plan, bool reset,
                  const char *what)
{
    int32_t tokens[T], targets[T], documents[T], positions[T];
    rig_tokens(model->vocabulary, T, tokens, targets);
    for (int32_t t = 0; t < T; t++) {
        documents[t] = t < FIRST ? 0 : FIRST;
        positions[t] = t - documents[t];
        if (targets[t] < 0) targets[t] = 1;
    }
    targets[FIRST - 1] = -1; /* the first token of the second */
    result packed = run(kind, model, plan, T, tokens, targets, documents, reset ? positions : NULL);
    result first = run(kind, model, plan, FIRST, tokens, targets, NULL, NULL);
    result second = run(kind, model, plan, SECOND, tokens + FIRST, targets + FIRST, NULL, NULL);
    expect_sum(&packed, &first, &second, what);
    free(packed.gradients);
    free(first.gradients);
    free(second.gradients);
}

/* Without positions of their own, only where they count by their distance: rotary ones. */
static void test_alone(void **state)
{
    (void)state;
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind != NULL; kind++) {
        if (!rig_runs_on(*kind)) continue;
        for (int flags = 0; flags < 32; flags++) {
            weft_model_config model = rig_mixed(flags);
            for (int way = 0; way < 8; way++) {
                bool reset = way & 1;
                rig_plan plan = {way & 2 ? halves : whole, way & 2 ? 2 : 1, way & 4, way & 4};
                char what[80];
                if (!reset && model.position != WEFT_CONFIG_ROTARY) continue;
                snprintf(what, sizeof what, "%s, model %d, way %d", (*kind)->name, flags, way);
                check(*kind, &model, &plan, reset, what);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
