/* The table of transport kinds: every word of the configuration's key has its row, in its place. */
#include "config/config.h"
#include "transport/kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_words(void **state)
{
    (void)state;
    static const char text[] = "data: {path: x}";
    int64_t count = 0;
    for (const weft_transport_kind *const *kind = weft_transport_kinds(); *kind; kind++, count++) {
        weft_config config;
        weft_error error;
        char word[64];
        const char *overrides[] = {word};
        snprintf(word, sizeof word, "transport=%s", (*kind)->name);
        weft_status status = weft_config_load_text(&config, text, sizeof text - 1, "test", overrides, 1, &error);
        if (status != WEFT_OK) print_error("%s\n", error.text);
        assert_int_equal(status, WEFT_OK);
        assert_int_equal(config.transport, count);
        assert_ptr_equal(weft_transport_kind_get(config.transport), *kind);
        assert_non_null((*kind)->summary);
        weft_config_fini(&config);
    }
    assert_null(weft_transport_kind_get(0)->processes); /* the one that needs no launcher */
}

static void test_worlds(void **state)
{
    (void)state;
    static const int32_t all[] = {0, 1};
    const weft_transport_kind *kind = weft_transport_kind_get(0);
    weft_transport_world *world = NULL;
    weft_transport *t[2] = {NULL, NULL};
    weft_error error;
    assert_int_equal(kind->open(2, &(weft_group){all, 2}, 1, &world, &error), WEFT_OK);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(kind->create(world, i, &t[i], &error), WEFT_OK);
        assert_int_equal(t[i]->operations->borrow != NULL, kind->shares_memory);
        assert_int_equal(t[i]->ordered, kind->ordered);
    }
    kind->halt(world);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(t[i]->operations->progress(t[i], &error), WEFT_STOPPED);
        t[i]->operations->destroy(t[i]);
    }
    kind->close(world);
    kind->close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_worlds)};
    return cmocka_run_group_tests_name("transport kinds", tests, NULL, NULL);
}
