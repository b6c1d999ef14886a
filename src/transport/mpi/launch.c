/* Was this process started by an MPI launcher, and with how many others? Answered from the environment, in builds
 * without MPI too. */
#include "transport/transport.h"

#include "base/text.h"

#include <stdlib.h>

/* A whole number from `least` up; what is empty or no number, a launcher has not set. */
static bool read_number(const char *variable, int64_t least, int32_t *out)
{
    const char *text = variable ? getenv(variable) : NULL;
    int64_t value = 0;
    if (!text || !weft_parse_int(text, &value) || value < least || value > INT32_MAX) return false;
    *out = (int32_t)value;
    return true;
}

/* Variables that a launcher sets together. A batch system sets some of them for a whole job too, which is no launch:
 * SLURM_NTASKS in a shell of salloc, SLURM_PROCID in a script of sbatch. */
typedef struct launcher {
    const char *step, *rank; /* NULL: not needed */
    const char *sizes[2];    /* the first that is a number counts */
} launcher;

/* Processes of one launcher; 0 when it did not start this one. Where no size is said, there are as many as the rank
 * takes. */
static int32_t count_started(const launcher *by, const char **out_variable)
{
    int32_t number = 0, rank = 0, size = 0;
    if (by->step && !read_number(by->step, 0, &number)) return 0;
    if (by->rank && !read_number(by->rank, 0, &rank)) return 0;
    for (int i = 0; i < 2; i++) {
        if (!read_number(by->sizes[i], 1, &size)) continue;
        *out_variable = by->sizes[i];
        return size;
    }
    *out_variable = by->rank;
    return by->step ? rank + (rank < INT32_MAX) : 0;
}

int32_t weft_mpi_launched(const char **out_variable)
{
    static const launcher launchers[] = {
        {NULL, NULL, {"OMPI_COMM_WORLD_SIZE", NULL}},                            /* mpirun of Open MPI */
        {NULL, "PMI_RANK", {"PMI_SIZE", NULL}},                                  /* mpirun of MPICH and its relatives */
        {"SLURM_PROCID", "PMIX_RANK", {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}}, /* srun --mpi=pmix */
        {"SLURM_PROCID", "PMI_RANK", {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}},  /* srun --mpi=pmi2 */
    };
    int32_t most = 0;
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *variable = NULL;
        int32_t count = count_started(&launchers[i], &variable);
        if (count <= most) continue;
        most = count;
        if (out_variable) *out_variable = variable;
    }
    return most;
}
