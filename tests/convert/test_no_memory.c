/* Each allocation in turn fails, while a GGUF file is opened and read. */
#include "../base/failing.h"
#include "convert/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static weft_status open_and_read(void *context, weft_error *error)
{
    weft_gguf_model *model = NULL;
    weft_parameter parameter;
    float values[32];
    TRY(weft_gguf_model_open(context, 0, &model, error));
    assert_true(weft_model_parameter(weft_gguf_model_get(model), 0, &parameter));
    weft_status status = weft_gguf_model_read(model, &parameter, 0, 1, 32, values, error);
    weft_gguf_model_close(model);
    return status;
}

static void test_gguf(void **state)
{
    (void)state;
    static char path[] = GGUF_FILES "/types.gguf";
    assert_true(failing_each(open_and_read, path, FAILING_REPORTS) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gguf)};
    return cmocka_run_group_tests_name("convert_no_memory", tests, NULL, NULL);
}
