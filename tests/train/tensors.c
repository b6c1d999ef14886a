#include "tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

weft_status test_tensors_open(test_tensors *tensors, const char *folder, weft_error *error)
{
    *tensors = (test_tensors){.count = 0};
    TRY(weft_checkpoint_open(folder, &tensors->checkpoint, error));
    const char *yaml = weft_checkpoint_config(tensors->checkpoint);
    weft_status status = weft_config_load_text(&tensors->config, yaml, strlen(yaml), folder, NULL, 0, error);
    if (status != WEFT_OK) {
        weft_checkpoint_close(tensors->checkpoint);
        return status;
    }
    weft_arena_init(&tensors->arena);
    status =
        weft_model_parameters(&tensors->config.model, 1, &tensors->arena, &tensors->parameters, &tensors->count, error);
    if (status != WEFT_OK) test_tensors_close(tensors);
    return status;
}

void test_tensors_close(test_tensors *tensors)
{
    weft_arena_fini(&tensors->arena);
    weft_config_fini(&tensors->config);
    weft_checkpoint_close(tensors->checkpoint);
}

bool test_tensors_have(const test_tensors *tensors, weft_checkpoint_kind kind, int32_t p)
{
    return weft_checkpoint_has(tensors->checkpoint, kind, tensors->parameters[p].name);
}

float *test_tensors_read(const test_tensors *tensors, weft_checkpoint_kind kind, int32_t p, weft_error *error)
{
    const weft_parameter *parameter = &tensors->parameters[p];
    float *values = malloc((size_t)parameter->elements * sizeof *values);
    if (!values) abort();
    if (weft_checkpoint_read(tensors->checkpoint, kind, parameter->name, parameter->dimensions, parameter->shape, 0, 1,
                             parameter->elements, values, error) == WEFT_OK)
        return values;
    free(values);
    return NULL;
}

double test_tensors_distance(const float *a, const float *b, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return norm > 0 ? sqrt(difference / norm) : difference > 0 ? HUGE_VAL : 0;
}
