/* Was this process started by an MPI launcher? Answered from the environment, in builds without MPI too. */
#include "transport/transport.h"

#include <stdlib.h>

bool weft_mpi_launched(void)
{
    /* Each row: variables that one launcher sets together. */
    static const char *const launchers[][2] = {
        {"OMPI_COMM_WORLD_SIZE", NULL}, /* mpirun of Open MPI */
        {"PMI_RANK", "PMI_SIZE"},       /* mpirun of MPICH and its relatives */
        {"SLURM_PROCID", "PMIX_RANK"},  /* srun --mpi=pmix */
        {"SLURM_PROCID", "PMI_RANK"},   /* srun --mpi=pmi2 */
    };
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++)
        if (getenv(launchers[i][0]) && (!launchers[i][1] || getenv(launchers[i][1]))) return true;
    return false;
}
