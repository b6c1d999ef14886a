/* The checksum of a file is that of its bytes, however many. */
#include "base/file.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

enum { PIECE = 256 << 10, PIECES = 3 };

static char path[] = "/tmp/weft-test-XXXXXX";
static unsigned char *bytes;

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
    bytes = malloc(PIECES * PIECE);
    for (size_t i = 0; bytes && i < PIECES * PIECE; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
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
    static const size_t sizes[] = {0, 1, 5000, PIECE - 1, PIECE, PIECE + 1, PIECE * 2, PIECE * 2 + 77, PIECE * PIECES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t checksum = 0, size = 0;
        weft_error error;
        put(sizes[i]);
        assert_int_equal(weft_file_checksum(path, &checksum, &size, &error), WEFT_OK);
        assert_int_equal(size, sizes[i]);
        assert_true(checksum == XXH3_64bits(bytes, sizes[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_size)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
