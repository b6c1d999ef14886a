/*
 * For LD_PRELOAD: a disk that takes its time. fsync first sleeps SLOW_SECONDS, where SLOW_PATH is part of the path and
 * SLOW_RANK the rank of the process, if they are set. Before it sleeps it makes the file SLOW_MARK, so that a test
 * knows that it is under way.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fsync(int descriptor); /* instead of the C library's */

/* 0 without a launcher. */
static int rank(void)
{
    const char *open_mpi = getenv("OMPI_COMM_WORLD_RANK"), *mpich = getenv("PMI_RANK");
    return open_mpi ? atoi(open_mpi) : mpich ? atoi(mpich) : 0;
}

static bool is_slow(int descriptor)
{
    char link[64], path[4096] = "";
    const char *wanted = getenv("SLOW_RANK"), *part = getenv("SLOW_PATH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (!getenv("SLOW_SECONDS") || readlink(link, path, sizeof path - 1) < 0) return false;
    return (!wanted || atoi(wanted) == rank()) && (!part || strstr(path, part));
}

int fsync(int descriptor)
{
    if (is_slow(descriptor)) {
        const char *mark = getenv("SLOW_MARK");
        FILE *made = mark ? fopen(mark, "w") : NULL;
        if (made && fputs("slow\n", made) >= 0) fclose(made);
        double seconds = atof(getenv("SLOW_SECONDS"));
        long whole = (long)seconds;
        struct timespec left = {.tv_sec = whole, .tv_nsec = (long)((seconds - (double)whole) * 1e9)};
        while (nanosleep(&left, &left) != 0) continue; /* signals do not make a disk faster */
    }
    return (int)syscall(SYS_fsync, descriptor);
}
