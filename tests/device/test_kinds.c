/* Which devices there are, and what names them. */
#include "device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_kinds(void **state)
{
    (void)state;
    const weft_device_kind *const *kinds = weft_device_kinds();
    int count = 0;
    for (; kinds[count] != NULL; count++) {
        weft_device_options options = {.element = WEFT_FP32, .threads = 0};
        weft_device *device = NULL;
        weft_error error;
        assert_ptr_equal(weft_device_kind_find(kinds[count]->name), kinds[count]);
        assert_true(strlen(kinds[count]->summary) > 0);
        assert_int_equal(kinds[count]->create(&options, &device, &error), WEFT_INVALID);
        assert_null(device);
        options.threads = 1;
        if (kinds[count]->create(&options, &device, &error) != WEFT_OK) continue; /* no GPU here */
        assert_int_equal(device->operations->copy_peer != NULL, kinds[count]->peer_copies);
        device->operations->destroy(device);
    }
    assert_true(count >= 1);
    assert_string_equal(kinds[0]->name, "reference");
    assert_null(weft_device_kind_find("abacus"));
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
        int32_t index;
    } good[] = {{"reference", "reference", -1},
                {"emulated", "emulated", -1},
                {"deferred", "deferred", -1},
                {"deferred:0", "deferred", 0},
                {"deferred:2", "deferred", 2}};
    static const struct {
        const char *text, *says;
    } bad[] = {{"abacus", "no device 'abacus': there are cpu, cuda and reference"},
               {"abacus:1", "no device 'abacus:1': there are"},
               {"", "no device '': there are"},
               {":0", "no device ':0': there are"},
               {"referenc", "no device 'referenc': there are"},
               {"reference:0", "there is one reference, without a number: write 'reference', not 'reference:0'"},
               {"reference:", "there is one reference, without a number"},
               {"deferred:3", "no device 'deferred:3': this machine has 3 of deferred, numbered from 0"},
               {"deferred:-1", "this machine has 3 of deferred"},
               {"deferred:", "this machine has 3 of deferred"},
               {"deferred:1x", "this machine has 3 of deferred"},
               {"deferred:99999999999999999999", "this machine has 3 of deferred"}};
    const weft_device_kind *kind = NULL;
    int32_t index = 0;
    weft_error error;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(weft_device_parse(good[i].text, &kind, &index, &error), WEFT_OK);
        assert_string_equal(kind->name, good[i].kind);
        assert_int_equal(index, good[i].index);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(weft_device_parse(bad[i].text, &kind, &index, &error), WEFT_INVALID);
        if (strstr(error.text, bad[i].says) == NULL) fail_msg("'%s': %s", bad[i].text, error.text);
    }
    if (weft_device_kind_find("cuda") == NULL) {
        assert_int_equal(weft_device_parse("cuda:1", &kind, &index, &error), WEFT_INVALID);
        assert_string_equal(error.text, "no device 'cuda:1' in this build: weft was built without the CUDA toolkit");
    }
    kind = weft_device_kind_find("deferred");
    for (int32_t worker = 0; worker < 7; worker++) {
        assert_int_equal(weft_device_index(kind, -1, worker), worker % 3);
        assert_int_equal(weft_device_index(kind, 1, worker), 1);
        assert_int_equal(weft_device_index(weft_device_kind_find("reference"), -1, worker), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
