#include "device/cpu/cpu.h"

#include "base/clock.h"
#include "base/memory.h"
#include "device/kinds.h"

/* Sides of the square products that are tried; which is fastest depends on the caches. The longest only with time. */
static const int64_t sides[] = {1024, 1536, 2048, 4096};
static const double LONG_SECONDS = 0.8;
enum { SIDES = sizeof sides / sizeof *sides };

typedef struct operand_set {
    void *x, *w, *y, *workspace;
} operand_set;

static double time_product(weft_device *device, const weft_linear *linear, const operand_set *set)
{
    double begin = weft_clock_seconds();
    device->operations->linear_forward(device, NULL, linear, set->x, set->w, NULL, set->y, set->workspace);
    return weft_clock_seconds() - begin;
}

static void fill(weft_element element, int64_t count, void *memory)
{
    for (int64_t i = 0; i < count; i++) {
        float value = (float)(i * 2654435761 % 2048) / 1024.0f - 1.0f;
        if (element == WEFT_BF16) {
            ((uint16_t *)memory)[i] = weft_bf16_from_float(value);
        } else {
            ((float *)memory)[i] = value;
        }
    }
}

/* The best rate of one side within seconds; the first product makes the primitive and is not counted. */
static void measure_pieces(weft_device *device, int64_t side, const operand_set *set, double seconds, double *best)
{
    weft_linear linear = {side, side, side};
    (void)time_product(device, &linear, set);
    double end = weft_clock_seconds() + seconds;
    do {
        double rate = 2.0 * (double)side * (double)side * (double)side / time_product(device, &linear, set);
        if (rate > *best) *best = rate;
    } while (weft_clock_seconds() < end);
}

/* The same by oneDNN alone, with b as it comes, transposed, and packed. */
static void measure_whole(weft_device *device, int64_t side, const operand_set *set, double seconds, double *best)
{
    const weft_cpu *cpu = weft_cpu_of(device);
    weft_product_shape shapes[] = {
        {.kind = WEFT_PRODUCT_PLAIN}, {.kind = WEFT_PRODUCT_PLAIN, .transpose_b = 1}, {.kind = WEFT_PRODUCT_PACKED}};
    const int count = cpu->packs ? 3 : 2;
    for (int i = 0; i < count; i++) {
        shapes[i].m = shapes[i].n = shapes[i].k = side;
        shapes[i].a_stride = shapes[i].b_stride = shapes[i].c_stride = side;
        double time = weft_onednn_whole_time(cpu->onednn, &shapes[i], set->x, set->w, set->y, seconds / count);
        double rate = 2.0 * (double)side * (double)side * (double)side / time;
        if (rate > *best) *best = rate;
    }
}

/* Makes the operands for products of up to longest rows and columns. */
static weft_status operands_make(const weft_device_options *options, int64_t longest, operand_set *set,
                                 weft_error *error)
{
    const size_t count = (size_t)(longest * longest);
    size_t workspace = 64, element = weft_onednn_widens(options->element) ? 4 : weft_element_bytes(options->element);
    for (int i = 0; i < SIDES && sides[i] <= longest; i++) {
        size_t bytes = weft_cpu_linear_workspace(options, &(weft_linear){sides[i], sides[i], sides[i]});
        if (bytes > workspace) workspace = bytes;
    }
    TRY(weft_allocate(count, element, &set->x, error));
    TRY(weft_allocate(count, element, &set->w, error));
    TRY(weft_allocate(count, element, &set->y, error));
    TRY(weft_allocate(workspace, 1, &set->workspace, error));
    fill(options->element, longest * longest, set->x);
    fill(options->element, longest * longest, set->w);
    return WEFT_OK;
}

weft_status weft_cpu_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                  weft_error *error)
{
    *out_flops = 0.0;
    const int tried = seconds < LONG_SECONDS ? SIDES - 1 : SIDES;
    weft_device *device = NULL;
    operand_set set = {0};
    weft_status status = weft_device_cpu.create(options, &device, error);
    if (status == WEFT_OK) status = operands_make(options, sides[tried - 1], &set, error);
    for (int i = 0; status == WEFT_OK && i < tried; i++) {
        measure_pieces(device, sides[i], &set, seconds / (2 * tried), out_flops);
        measure_whole(device, sides[i], &set, seconds / (2 * tried), out_flops);
        status = weft_device_check(device, error);
    }
    weft_free(set.workspace);
    weft_free(set.y);
    weft_free(set.w);
    weft_free(set.x);
    if (device != NULL) device->operations->destroy(device);
    return status;
}
