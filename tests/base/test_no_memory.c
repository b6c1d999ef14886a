/* Each allocation in turn fails, in what everything else is built on. */
#include "base/file.h"
#include "failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char root[] = "/tmp/weft-no-memory-XXXXXX";
static char file[64], folder[64];

static weft_status write_text(void *context, weft_error *error)
{
    (void)context;
    weft_text text;
    weft_text_init(&text);
    for (int i = 0; i < 50; i++) weft_text_add(&text, "%d ", i);
    weft_text_add_json(&text, "\"quotes\"\n");
    weft_text_add_xml(&text, "<&>");
    weft_text_add_bytes(&text, root, sizeof root);
    weft_text_add_count(&text, 2, "batch");
    weft_status status = weft_text_check(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status fill_arena(weft_arena *arena, weft_error *error)
{
    void *piece = NULL;
    const char *copy = NULL;
    for (size_t size = 1; size < 1 << 20; size *= 4) TRY(weft_arena_take(arena, 3, size, &piece, error));
    return weft_arena_text(arena, "words", &copy, error);
}

static weft_status take_from_arena(void *context, weft_error *error)
{
    (void)context;
    weft_arena arena;
    weft_arena_init(&arena);
    weft_status status = fill_arena(&arena, error);
    weft_arena_fini(&arena);
    return status;
}

/* What is there stays, whatever fails. */
static weft_status grow(void *context, weft_error *error)
{
    (void)context;
    int32_t *numbers = NULL;
    size_t capacity = 0;
    weft_status status = WEFT_OK;
    for (int32_t i = 0; i < 1000 && status == WEFT_OK; i++) {
        status = weft_grow(&numbers, &capacity, (size_t)i + 1, sizeof *numbers, error);
        if (status == WEFT_OK) numbers[i] = i;
    }
    for (size_t i = 0; i < capacity && i < 1000; i++)
        if (numbers[i] != (int32_t)i && numbers[i] != 0) fail_msg("number %zu is lost", i);
    weft_free(numbers);
    return status;
}

static weft_status use_folder(weft_text *text, weft_arena *arena, weft_error *error)
{
    const char **names = NULL;
    size_t count = 0;
    TRY(weft_folder_create(folder, error));
    TRY(weft_file_write(file, "words", 5, error));
    TRY(weft_file_read(file, text, error));
    TRY(weft_folder_list(folder, arena, &names, &count, error));
    return weft_folder_remove(folder, error);
}

static weft_status use_files(void *context, weft_error *error)
{
    (void)context;
    weft_text text;
    weft_arena arena;
    weft_text_init(&text);
    weft_arena_init(&arena);
    weft_status status = use_folder(&text, &arena, error);
    weft_text_fini(&text);
    weft_arena_fini(&arena);
    return status;
}

static void test_every_allocation(void **state)
{
    (void)state;
    assert_true(failing_each(write_text, NULL, FAILING_REPORTS) > 2);
    assert_true(failing_each(take_from_arena, NULL, FAILING_REPORTS) > 3);
    assert_true(failing_each(grow, NULL, FAILING_REPORTS) > 4);
    assert_non_null(mkdtemp(root));
    snprintf(folder, sizeof folder, "%s/folder", root);
    snprintf(file, sizeof file, "%s/words", folder);
    assert_true(failing_each(use_files, NULL, FAILING_REPORTS) > 2);
    assert_int_equal(weft_folder_remove(root, NULL), WEFT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
