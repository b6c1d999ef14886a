#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t weft_clock_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double weft_clock_seconds(void)
{
    return (double)weft_clock_nanoseconds() * 1e-9;
}

double weft_clock_date(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The system draws it anew at every start. Hashed by FNV-1a. */
uint64_t weft_clock_identity(void)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (!file) return 0;
    uint64_t hash = 14695981039346656037u;
    int byte = 0, count = 0;
    for (; (byte = fgetc(file)) != EOF; count++) hash = (hash ^ (uint64_t)byte) * 1099511628211u;
    fclose(file);
    return count ? hash : 0;
}

void weft_clock_sleep(double seconds)
{
    struct timespec wait = {.tv_sec = (time_t)seconds};
    wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
    nanosleep(&wait, NULL);
}
