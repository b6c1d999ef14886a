#include "transport/transport.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID", "PMIX_RANK"};
enum { VARIABLES = sizeof variables / sizeof variables[0] };

/* Bit i of set: variable i is there. */
static bool is_launched(unsigned set)
{
    for (unsigned i = 0; i < VARIABLES; i++) {
        unsetenv(variables[i]);
        if (set >> i & 1) setenv(variables[i], "1", 1);
    }
    return weft_mpi_launched();
}

static void test_launchers(void **state)
{
    (void)state;
    for (unsigned set = 0; set < 1u << VARIABLES; set++) {
        bool ompi = set & 1, rank = set & 2, size = set & 4, slurm = set & 8, pmix = set & 16;
        assert_int_equal(is_launched(set), ompi || (rank && size) || (slurm && (pmix || rank)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_launchers)};
    return cmocka_run_group_tests_name("transport launch", tests, NULL, NULL);
}
