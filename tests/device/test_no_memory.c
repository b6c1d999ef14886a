/* Each allocation in turn fails, while a device of each kind is made and works. */
#include "../base/failing.h"
#include "device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 8, WIDTH = 16 };

typedef struct order {
    const weft_device_kind *kind;
    weft_device_options options;
} order;

/* Products and attention: what takes memory of its own, for plans and scratch. */
static void work(weft_device *device, void *memory, void *space)
{
    weft_linear linear = {ROWS, WIDTH, WIDTH};
    weft_attention attention = {.B = 1, .T = ROWS, .H = 2, .G = 2, .D = WIDTH / 2};
    float *x = memory, *w = x + ROWS * WIDTH, *y = w + WIDTH * WIDTH, *qkv = y + ROWS * WIDTH,
          *logsumexp = qkv + 3 * ROWS * WIDTH;
    device->operations->linear_forward(device, NULL, &linear, x, w, NULL, y, space);
    device->operations->linear_backward_weight(device, NULL, &linear, y, x, false, w, NULL, space);
    device->operations->attention_forward(device, NULL, &attention, NULL, qkv, y, logsumexp, space);
    device->operations->attention_backward(device, NULL, &attention, NULL, qkv, y, logsumexp, y, qkv, space);
    device->operations->copy(device, NULL, x, y, ROWS * WIDTH * sizeof *x);
}

static weft_status use(weft_device *device, const order *it, weft_error *error)
{
    weft_linear linear = {ROWS, WIDTH, WIDTH};
    weft_attention attention = {.B = 1, .T = ROWS, .H = 2, .G = 2, .D = WIDTH / 2};
    size_t space_bytes = it->kind->linear_workspace(&it->options, &linear) +
                         it->kind->attention_workspace(&it->options, &attention) + 64;
    void *memory = NULL, *space = NULL;
    weft_status status = device->operations->allocate(device, WEFT_MEMORY_DEVICE, 1 << 16, &memory, error);
    if (status == WEFT_OK)
        status = device->operations->allocate(device, WEFT_MEMORY_DEVICE, space_bytes, &space, error);
    if (status == WEFT_OK) {
        work(device, memory, space);
        status = weft_device_check(device, error);
    }
    device->operations->release(device, memory);
    device->operations->release(device, space);
    return status;
}

static weft_status make(void *context, weft_error *error)
{
    const order *it = context;
    weft_device *device = NULL;
    TRY(it->kind->create(&it->options, &device, error));
    weft_status status = use(device, it, error);
    device->operations->destroy(device);
    return status;
}

static void test_every_kind(void **state)
{
    (void)state;
    for (const weft_device_kind *const *kind = weft_device_kinds(); *kind; kind++) {
        if ((*kind)->count != NULL && (*kind)->count() == 0) continue; /* this machine has none */
        order it = {*kind, {.element = WEFT_FP32, .threads = 2}};
        assert_true(failing_each(make, &it, FAILING_REPORTS) >= 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
