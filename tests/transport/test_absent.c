/* A build without MPI says so, as the user's mistake, wherever it is asked for it. */
#include "transport/transport.h"

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_refusals(void **state)
{
    (void)state;
    weft_error error;
    int32_t rank = -1, size = -1;
    weft_transport *transport = NULL;
    assert_false(weft_mpi_available());
    assert_int_equal(weft_mpi_start(&rank, &size, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "no MPI"));
    assert_int_equal(weft_mpi_transport_create(NULL, 0, &transport, &error), WEFT_INVALID);
    assert_null(transport);
    weft_mpi_finish();
    weft_mpi_abort(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests_name("transport absent", tests, NULL, NULL);
}
