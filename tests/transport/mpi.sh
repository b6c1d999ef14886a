# For scripts that start MPI programs, as root too, in containers and on fewer cores than processes. Usage: . mpi.sh

# find_mpirun PROGRAM: sets $mpirun to the launcher of the MPI that the program was built with, and $mpirun_options.
# MPIRUN names another. False where there is none.
find_mpirun() {
    mpirun_options=
    case $(ldd "$1" 2> /dev/null) in
    *libmpich*) set -- mpirun.mpich mpiexec.hydra mpirun ;;
    *libmpi.so*) set -- mpirun.openmpi mpirun ;;
    *) set -- mpirun ;;
    esac
    for mpirun in ${MPIRUN:-"$@"}; do command -v "$mpirun" > /dev/null 2>&1 && break; done
    command -v "$mpirun" > /dev/null 2>&1 || return 1
    case $("$mpirun" --version 2>&1) in
    *"Open MPI"* | *OpenRTE*) mpirun_options="--oversubscribe --bind-to none" ;;
    esac
}

OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Without the kernel's help (often forbidden in containers) a long message moves one fragment a nap: make those larger.
OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
OMPI_MCA_btl_vader_max_send_size=${OMPI_MCA_btl_vader_max_send_size:-262144}
OMPI_MCA_btl_base_warn_component_unused=0
OMPI_MCA_rmaps_base_oversubscribe=1
OMPI_MCA_mpi_yield_when_idle=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_btl_vader_single_copy_mechanism OMPI_MCA_btl_vader_max_send_size
export OMPI_MCA_btl_base_warn_component_unused OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_mpi_yield_when_idle
# MPI libraries keep memory to the end of the process; in sanitizer builds that is no finding.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS
