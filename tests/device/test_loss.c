/* The loss over slices of the vocabulary against that of the whole, on every kind of device in this build. */
#include "subjects.h"

#include "base/random.h"

#include <math.h>

enum { ROWS = 17, WIDTH = 1003, MOST_SLICES = 3, CUTS = 4 };

/* How the vocabulary is divided; 0: there are no more slices. */
static const int64_t cuts[CUTS][MOST_SLICES] = {{WIDTH}, {600, WIDTH - 600}, {WIDTH - 1, 1}, {130, 700, 173}};

/* The loss of a slice of the vocabulary; a sequence is one row. added: whether more than the cross entropy is trained.
 */
static weft_loss loss_of(int64_t V, int32_t first, int32_t parts, bool added)
{
    return (weft_loss){.rows = ROWS,
                       .width = V,
                       .vocabulary = WIDTH,
                       .first = first,
                       .parts = parts,
                       .z = added ? 0.01 : 0,
                       .smoothing = added ? 0.1 : 0,
                       .plain = added,
                       .sequence = added ? 1 : 0};
}

enum { NUMBERS = 2 + 2 * ROWS, STATISTICS = 4 };

/* Logits (ROWS, WIDTH) that the storage element can hold, and targets; what comes back is their gradient. */
typedef struct scene {
    float logits[ROWS * WIDTH];
    int32_t targets[ROWS];
    double gradient[ROWS * WIDTH], loss;
    float told[NUMBERS]; /* all that the loss is told in */
    bool added;
} scene;

static weft_device *create_or_skip(const test_subject *subject)
{
    const weft_device_kind *kind = kind_or_skip(subject);
    const weft_device_options options = {.element = subject->element, .threads = 2};
    weft_device *device = NULL;
    assert_int_equal(kind->create(&options, &device, NULL), WEFT_OK);
    return device;
}

/* Every fourth target is ignored; the first ones are at the ends of the vocabulary and around a cut. */
static void scene_fill(scene *s, weft_element element)
{
    static const int32_t chosen[] = {0, -1, WIDTH - 1, WIDTH - 2, 599, -1, 600, 130, 829};
    const weft_random_key key = weft_random_key_make(7, "logits");
    for (int i = 0; i < ROWS * WIDTH; i++) {
        float value = 3.0f * (float)weft_random_normal(key, (uint64_t)i);
        s->logits[i] = element == WEFT_FP32 ? value : weft_bf16_to_float(weft_bf16_from_float(value));
    }
    for (int row = 0; row < ROWS; row++) s->targets[row] = row % 4 == 1 ? -1 : row * 331 % WIDTH;
    for (size_t row = 0; row < sizeof chosen / sizeof *chosen; row++) s->targets[row] = chosen[row];
}

/* Columns first .. first + V - 1 to and from a device's memory. */
static void put_slice(const weft_device *device, const scene *s, int64_t first, int64_t V, void *out)
{
    for (int64_t i = 0; i < ROWS * V; i++) {
        float value = s->logits[i / V * WIDTH + first + i % V];
        if (device->element == WEFT_FP32)
            ((float *)out)[i] = value;
        else
            ((uint16_t *)out)[i] = weft_bf16_from_float(value);
    }
}

static void get_slice(const weft_device *device, scene *s, int64_t first, int64_t V, const void *from)
{
    for (int64_t i = 0; i < ROWS * V; i++) {
        bool fp32 = device->element == WEFT_FP32;
        double value =
            fp32 ? (double)((const float *)from)[i] : (double)weft_bf16_to_float(((const uint16_t *)from)[i]);
        s->gradient[i / V * WIDTH + first + i % V] = value;
    }
}

/* The operands of one pass over the vocabulary, in device memory; the host's side of a slice is in `room`. */
typedef struct desk {
    void *slices[MOST_SLICES];
    float *stats, *loss;
    int32_t *targets;
    weft_step_scalars *scalars;
    float room[ROWS * WIDTH]; /* the largest element's bytes */
} desk;

static void *take(weft_device *device, size_t bytes, const void *host)
{
    void *memory = NULL;
    assert_int_equal(device->operations->allocate(device, WEFT_MEMORY_DEVICE, bytes, &memory, NULL), WEFT_OK);
    if (host != NULL) assert_int_equal(device->operations->write(device, memory, host, bytes, NULL), WEFT_OK);
    return memory;
}

static void set_up(weft_device *device, const int64_t *cut, float scale, const scene *s, desk *d)
{
    const weft_step_scalars scalars = {.loss_gradient_scale = scale};
    const size_t element = weft_element_bytes(device->element);
    *d = (desk){.targets = take(device, sizeof s->targets, s->targets),
                .scalars = take(device, sizeof scalars, &scalars)};
    d->stats = take(device, MOST_SLICES * ROWS * STATISTICS * sizeof(float), NULL);
    d->loss = take(device, sizeof s->told, s->told);
    for (int64_t part = 0, first = 0; part < MOST_SLICES && cut[part] > 0; first += cut[part++]) {
        put_slice(device, s, first, cut[part], d->room);
        d->slices[part] = take(device, (size_t)(ROWS * cut[part]) * element, d->room);
    }
}

static void clear_up(weft_device *device, desk *d)
{
    assert_int_equal(device->operations->stream_wait(device, NULL, NULL), WEFT_OK);
    for (int part = 0; part < MOST_SLICES; part++) device->operations->release(device, d->slices[part]);
    void *others[] = {d->stats, d->loss, d->targets, d->scalars};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) device->operations->release(device, others[i]);
}

static float fetch(weft_device *device, desk *d, int64_t first, int64_t V, int32_t part, scene *s)
{
    const size_t bytes = (size_t)(ROWS * V) * weft_element_bytes(device->element);
    assert_int_equal(device->operations->read(device, s->told, d->loss, sizeof s->told, NULL), WEFT_OK);
    assert_int_equal(device->operations->read(device, d->room, d->slices[part], bytes, NULL), WEFT_OK);
    get_slice(device, s, first, V, d->room);
    return s->told[0];
}

/* The stats of every slice first, as each device gets them from the others; all must find the same loss. */
static void run_slices(weft_device *device, const int64_t *cut, float scale, scene *s)
{
    static desk d;
    int32_t parts = 0, first = 0;
    float loss = 0.0f;
    set_up(device, cut, scale, s, &d);
    for (; parts < MOST_SLICES && cut[parts] > 0; first += (int32_t)cut[parts++]) {
        const weft_loss of = loss_of(cut[parts], first, 1, s->added);
        device->operations->loss_part(device, NULL, &of, d.slices[parts], d.targets,
                                      d.stats + parts * ROWS * weft_loss_statistics(&of));
    }
    first = 0;
    for (int32_t part = 0; part < parts; first += (int32_t)cut[part++]) {
        const weft_loss of = loss_of(cut[part], first, parts, s->added);
        device->operations->loss_finish(device, NULL, &of, d.slices[part], d.targets, d.stats, d.scalars, true, d.loss);
        float own = fetch(device, &d, first, cut[part], part, s);
        if (part > 0) assert_memory_equal(&own, &loss, sizeof loss);
        loss = own;
    }
    s->loss = (double)loss;
    clear_up(device, &d);
}

static void run_whole(weft_device *device, float scale, scene *s)
{
    static desk d;
    set_up(device, cuts[0], scale, s, &d);
    const weft_loss of = loss_of(WIDTH, 0, 1, s->added);
    device->operations->cross_entropy(device, NULL, &of, d.slices[0], d.targets, d.scalars, true, d.loss);
    s->loss = (double)fetch(device, &d, 0, WIDTH, 0, s);
    clear_up(device, &d);
}

/* Each value within a rounding of its element, and of fp32 for what the two ways round otherwise. */
static void compare(const scene *s, const scene *expected, weft_element element)
{
    const double share = element == WEFT_FP32 ? 2e-6 : 1.0 / 128;
    assert_true(fabs(s->loss - expected->loss) <= 1e-6 * fabs(expected->loss));
    for (int i = 0; i < NUMBERS; i++)
        assert_true(fabs((double)s->told[i] - (double)expected->told[i]) <= 2e-6 * fabs((double)expected->told[i]));
    for (int i = 0; i < ROWS * WIDTH; i++) {
        double is = s->gradient[i], should = expected->gradient[i];
        bool ignored = s->targets[i / WIDTH] < 0;
        if (ignored ? is == 0.0 : fabs(is - should) <= share * fabs(should) + 1e-9) continue;
        fail_msg("row %d, token %d: %.9g, whole: %.9g", i / WIDTH, i % WIDTH, is, should);
    }
}

/* The rows' own numbers add up to that of all. */
static void check_told(const scene *s)
{
    double sum = 0.0;
    if (!s->added) return;
    for (int row = 0; row < ROWS; row++) {
        assert_true(s->told[2 + 2 * row + 1] == (s->targets[row] < 0 ? 0.0f : 1.0f));
        sum += (double)s->told[2 + 2 * row];
    }
    assert_true(fabs(sum - s->loss) <= 1e-6 * s->loss);
    assert_true(s->told[1] < s->told[0]);
}

/* Against the same device and the reference. */
static void test_slices(void **state)
{
    const test_subject *subject = *state;
    static scene sliced, whole, exact;
    weft_device *device = create_or_skip(subject);
    weft_device *reference = create_or_skip(&(test_subject){"reference", subject->element});
    for (int i = 0; i < 2 * CUTS; i++) {
        sliced = whole = exact = (scene){.added = i % 2};
        scene_fill(&sliced, subject->element);
        scene_fill(&whole, subject->element);
        scene_fill(&exact, subject->element);
        run_whole(device, 0.25f, &whole);
        run_whole(reference, 0.25f, &exact);
        run_slices(device, cuts[i / 2], 0.25f, &sliced);
        check_told(&sliced);
        compare(&sliced, &whole, subject->element);
        compare(&sliced, &exact, subject->element);
    }
    reference->operations->destroy(reference);
    device->operations->destroy(device);
}

/* Wherever it is: in the target's slice or in another. Only -INFINITY of another token is a probability of 0. */
static void test_not_finite(void **state)
{
    const test_subject *subject = *state;
    static scene s, start;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int64_t places[] = {0, 129, 130, 600, 829, 830, WIDTH - 1};
    weft_device *device = create_or_skip(subject);
    scene_fill(&start, subject->element);
    for (int cut = 0; cut < CUTS; cut++)
        for (int kind = 0; kind < 3; kind++)
            for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                s = start;
                s.targets[7] = 130;
                s.logits[7 * WIDTH + places[i]] = bad[kind];
                s.logits[5 * WIDTH + places[i]] = NAN; /* its target is ignored */
                run_slices(device, cuts[cut], 1.0f, &s);
                assert_int_equal(isfinite(s.loss) != 0, kind == 2 && places[i] != 130);
                for (int at = 0; at < WIDTH; at++) assert_true(s.gradient[5 * WIDTH + at] == 0.0);
            }
    device->operations->destroy(device);
}

/* A slice without any probability is no error, a whole row is; nor is a slice of nothing but NaN taken for one. */
static void test_empty_slices(void **state)
{
    const test_subject *subject = *state;
    static scene s, whole;
    weft_device *device = create_or_skip(subject);
    for (int cut = 0; cut < CUTS; cut++) {
        scene_fill(&s, subject->element);
        scene_fill(&whole, subject->element);
        s.targets[7] = whole.targets[7] = WIDTH - 1;
        for (int at = 0; at < WIDTH - 1; at++) s.logits[7 * WIDTH + at] = whole.logits[7 * WIDTH + at] = -INFINITY;
        run_slices(device, cuts[cut], 1.0f, &s);
        run_whole(device, 1.0f, &whole);
        assert_true(isfinite(s.loss));
        compare(&s, &whole, subject->element);
        for (int all = 0; all < 2; all++) {
            for (int at = 0; at < WIDTH - 1 + all; at++) s.logits[7 * WIDTH + at] = all ? -INFINITY : NAN;
            run_slices(device, cuts[cut], 1.0f, &s);
            assert_false(isfinite(s.loss));
        }
    }
    device->operations->destroy(device);
}

/* Logits far apart: the largest of all slices is taken out, not that of each. */
static void test_large(void **state)
{
    const test_subject *subject = *state;
    static scene s;
    weft_device *device = create_or_skip(subject);
    for (int cut = 0; cut < CUTS; cut++) {
        scene_fill(&s, subject->element);
        for (int i = 0; i < ROWS * WIDTH; i++) s.logits[i] = i % WIDTH < 130 ? -9984.0f : -19968.0f;
        for (int row = 0; row < ROWS; row++) s.targets[row] = row == 3 ? 900 : -1;
        s.logits[3 * WIDTH + 129] = 9984.0f;
        run_slices(device, cuts[cut], 1.0f, &s);
        assert_true(s.loss == 3.0 * 9984.0);
        for (int at = 0; at < WIDTH; at++) {
            double expected = at == 129 ? 1.0 : at == 900 ? -1.0 : 0.0;
            assert_true(s.gradient[3 * WIDTH + at] == expected);
        }
    }
    device->operations->destroy(device);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        ALL_SUBJECTS(test_slices),
        ALL_SUBJECTS(test_not_finite),
        ALL_SUBJECTS(test_empty_slices),
        ALL_SUBJECTS(test_large),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
