#include "transport/transport.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What each launcher and batch system sets; the variable is the one that says how many there are. */
static const struct {
    const char *settings; /* "NAME=VALUE", separated by blanks */
    int32_t processes;
    const char *variable;
} environments[] = {
    {"", 0, NULL},
    /* mpirun of Open MPI */
    {"OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0 PMIX_RANK=0", 1, "OMPI_COMM_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 PMIX_RANK=0", 2, "OMPI_COMM_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_SIZE=", 0, NULL},
    {"OMPI_COMM_WORLD_SIZE=0", 0, NULL},
    {"OMPI_COMM_WORLD_SIZE=-2", 0, NULL},
    {"OMPI_COMM_WORLD_SIZE=two", 0, NULL},
    {"OMPI_COMM_WORLD_SIZE=2x", 0, NULL},
    {"OMPI_COMM_WORLD_SIZE=99999999999", 0, NULL},
    /* mpirun of MPICH */
    {"PMI_RANK=0 PMI_SIZE=1 PMI_FD=8", 1, "PMI_SIZE"},
    {"PMI_RANK=3 PMI_SIZE=4 PMI_FD=8", 4, "PMI_SIZE"},
    {"PMI_RANK= PMI_SIZE=4", 0, NULL},
    {"PMI_RANK=0 PMI_SIZE=", 0, NULL},
    {"PMI_RANK=0", 0, NULL},
    {"PMI_SIZE=4", 0, NULL},
    /* srun */
    {"SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2 PMIX_RANK=2", 4,
     "SLURM_STEP_NUM_TASKS"},
    {"SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 PMIX_RANK=0", 1,
     "SLURM_STEP_NUM_TASKS"},
    {"SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 PMI_RANK=0 PMI_SIZE=1", 1, "PMI_SIZE"},
    {"SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 PMI_RANK=1 PMI_SIZE=2", 2, "PMI_SIZE"},
    {"SLURM_PROCID=0 PMIX_RANK=0 SLURM_NTASKS=4", 4, "SLURM_NTASKS"},
    {"SLURM_PROCID=3 PMIX_RANK=3", 4, "PMIX_RANK"},
    {"SLURM_PROCID=0 PMIX_RANK=0", 1, "PMIX_RANK"},
    /* a shell of salloc, a script of sbatch: a job, but nobody launched this process */
    {"SLURM_JOB_ID=7 SLURM_NTASKS=8 SLURM_JOB_NUM_NODES=2", 0, NULL},
    {"SLURM_JOB_ID=7 SLURM_NTASKS=8 SLURM_PROCID=0 SLURM_LOCALID=0", 0, NULL},
    {"SLURM_JOB_ID=7 SLURM_NTASKS=8 SLURM_PROCID=0 PMIX_RANK=", 0, NULL},
    {"PMIX_RANK=1", 0, NULL},
    /* one launcher inside another: there are as many as the larger says */
    {"SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 PMIX_RANK=0 OMPI_COMM_WORLD_SIZE=4", 4, "OMPI_COMM_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_SIZE=1 PMI_RANK=0 PMI_SIZE=3", 3, "PMI_SIZE"},
};

static void set_all(const char *settings)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE",
                                            "OMPI_COMM_WORLD_RANK",
                                            "PMIX_RANK",
                                            "PMI_RANK",
                                            "PMI_SIZE",
                                            "PMI_FD",
                                            "SLURM_JOB_ID",
                                            "SLURM_STEP_ID",
                                            "SLURM_NTASKS",
                                            "SLURM_STEP_NUM_TASKS",
                                            "SLURM_PROCID",
                                            "SLURM_LOCALID",
                                            "SLURM_JOB_NUM_NODES"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) unsetenv(variables[i]);
    char copy[256], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = '\0';
        setenv(word, equals + 1, 1);
    }
}

static void test_launchers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof environments / sizeof environments[0]; i++) {
        const char *variable = NULL;
        set_all(environments[i].settings);
        int32_t processes = weft_mpi_launched(&variable);
        if (processes != environments[i].processes)
            fail_msg("%s: %d processes, not %d", environments[i].settings, processes, environments[i].processes);
        assert_int_equal(weft_mpi_launched(NULL), processes);
        if (environments[i].variable)
            assert_string_equal(variable, environments[i].variable);
        else
            assert_null(variable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_launchers)};
    return cmocka_run_group_tests_name("transport launch", tests, NULL, NULL);
}
