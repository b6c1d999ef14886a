/* The checksum of a file is that of its bytes, whichever way they are read, and a file that is cut meanwhile is no
 * signal. */
#include "base/file.h"
#include "tensor/safetensors.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

enum { SPAN = 4 << 20, SPANS = 3 };

static char path[] = "/tmp/weft-test-XXXXXX";
static unsigned char *bytes;
static int spans; /* that were hashed where the system keeps them */
static bool cuts; /* before the first of them is hashed */
static pthread_t cutter;
static atomic_bool cut;

static void *cut_file(void *nothing)
{
    if (truncate(path, 5) == 0) atomic_store(&cut, true);
    return nothing;
}

/* The linker puts it in front of the C library's. */
int __real_madvise(void *pages, size_t size, int advice);
int __wrap_madvise(void *pages, size_t size, int advice);

int __wrap_madvise(void *pages, size_t size, int advice)
{
    int result = __real_madvise(pages, size, advice);
    if (advice != MADV_POPULATE_READ) return result;
    spans++;
    if (cuts && spans == 1) {
        assert_int_equal(pthread_create(&cutter, NULL, cut_file, NULL), 0);
        for (int i = 0; i < 100 && !atomic_load(&cut); i++) usleep(1000);
        assert_false(atomic_load(&cut)); /* it waits */
    }
    return result;
}

static void put(size_t count)
{
    weft_error error;
    assert_int_equal(weft_file_write(path, bytes, count, &error), WEFT_OK);
}

static int setup(void **state)
{
    (void)state;
    int descriptor = mkstemp(path);
    if (descriptor < 0) return -1;
    close(descriptor);
    bytes = malloc(SPANS * SPAN);
    for (size_t i = 0; bytes && i < SPANS * SPAN; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
    return bytes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(bytes);
    return unlink(path);
}

static void test_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,        1,        5000,          SPAN - 4096,  SPAN - 1,    SPAN,
                                   SPAN + 1, SPAN * 2, SPAN * 2 + 77, SPAN * 3 - 7, SPAN * SPANS};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t checksum = 0, size = 0;
        weft_error error;
        put(sizes[i]);
        spans = 0;
        assert_int_equal(weft_file_checksum(path, &checksum, &size, &error), WEFT_OK);
        assert_int_equal(size, sizes[i]);
        assert_true(checksum == XXH3_64bits(bytes, sizes[i]));
        assert_in_range(spans, 0, sizes[i] / SPAN); /* none where a file cannot be held */
    }
}

/* Whoever cuts the file waits for the span that is hashed; what is left is not read as if it were there. */
static void test_cut_meanwhile(void **state)
{
    (void)state;
    uint64_t checksum = 0, size = 0;
    weft_error error;
    put(SPANS * SPAN);
    spans = 0;
    cuts = true;
    assert_int_equal(weft_file_checksum(path, &checksum, &size, &error), WEFT_OK);
    cuts = false;
    if (spans == 0) skip();
    pthread_join(cutter, NULL);
    assert_true(atomic_load(&cut));
    assert_in_range(size, SPAN, SPANS * SPAN);
    assert_true(checksum == XXH3_64bits(bytes, size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_size), cmocka_unit_test(test_cut_meanwhile)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
