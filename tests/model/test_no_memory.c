/* Each allocation in turn fails, while parameters are listed and a stage is made. */
#include "../base/failing.h"
#include "rig.h"

typedef struct order {
    weft_model_config model;
    const weft_device_kind *kind;
} order;

static weft_status make_stage(weft_device *device, const order *it, weft_arena *arena, weft_error *error)
{
    const weft_parameter *parameters = NULL;
    int32_t count = 0;
    weft_stage *stage = NULL;
    TRY(weft_model_parameters(&it->model, 1, arena, &parameters, &count, error));
    const void *none[64] = {NULL};
    assert_in_range(count, 1, 64);
    weft_stage_shape shape = {.model = &it->model,
                              .slice = {0, 1},
                              .layer_count = (int32_t)it->model.layers,
                              .embedding = true,
                              .head = true,
                              .B = 2,
                              .T = it->model.context,
                              .device = it->kind,
                              .options = {.element = WEFT_FP32, .threads = 1}};
    TRY(weft_stage_create(&shape, device, &(weft_stage_weights){.storage = none}, &stage, error));
    weft_stage_destroy(stage);
    return WEFT_OK;
}

static weft_status make(void *context, weft_error *error)
{
    const order *it = context;
    weft_device *device = NULL;
    weft_device_options options = {.element = WEFT_FP32, .threads = 1};
    TRY(it->kind->create(&options, &device, error));
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = make_stage(device, it, &arena, error);
    weft_arena_fini(&arena);
    device->operations->destroy(device);
    return status;
}

static void test_stages(void **state)
{
    (void)state;
    order it = {rig_gpt2(), weft_device_kind_find("reference")};
    assert_true(failing_each(make, &it, FAILING_REPORTS) >= 3);
    it.model = rig_llama();
    assert_true(failing_each(make, &it, FAILING_REPORTS) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
