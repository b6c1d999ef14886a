/*
 * An emulator of the CUDA runtime for tests: what is in include/, run on the CPU. It shows the mistakes that a GPU
 * hides or reveals once in a thousand runs; of speed it says nothing.
 *
 * Threads of a block are fibers: they run one at a time, in an order drawn from a seed, until each waits at a barrier
 * or in a collective of its warp, or has ended. Barriers and collectives are checked. Streams are queues: an operation
 * runs when it is given, or when a host thread waits or asks, in any legal order. Device memory has no access rights
 * but while an operation of its GPU, or of one that may reach it, runs; guard pages surround every block; what nobody
 * wrote is 0xff (not a number, the integer -1), and so is shared memory when a block begins.
 *
 * Compiled with EMULATOR_RACES and linked with kernels and hosts that ThreadSanitizer instruments, every thread of a
 * block and every stream is a logical thread of its own, without any synchronisation but what CUDA promises: a barrier,
 * an event or a wait that is missing is a race that is reported, also when all values come out right.
 *
 * Environment, read at the first call:
 *   WEFT_EMULATOR_SEED        which order (1)
 *   WEFT_EMULATOR_STREAMS     lazy: nothing runs before it is waited for; eager: all at once; some: either, drawn
 * (lazy) WEFT_EMULATOR_THREADS     up, down or random: in which order threads and blocks run (random)
 *   WEFT_EMULATOR_GPUS        how many (1); none: no GPU; no driver: not even that
 *   WEFT_EMULATOR_MEMORY      MiB of each GPU (16384)
 *   WEFT_EMULATOR_CAPABILITY  75, 80, 86, 90 or 100 (90)
 *   WEFT_EMULATOR_PEERS       no: no GPU reaches another one's memory (yes)
 *   WEFT_EMULATOR_FAIL        WHAT:N or WHAT:N:ERROR: the N-th, from 1, `operation` of a stream fails where it runs,
 * with the number of a cudaError (719), and its GPU is lost; or the N-th `allocation` fails (2), or the N-th `launch`
 * is refused (701)
 *
 *   WEFT_EMULATOR_LAUNCHES    FILE: what each kernel's launches asked for of shared memory at most, when the process
 * ends
 *
 * What CUDA leaves undefined ends the process with a line on standard error: status 98 where memory is touched that is
 * out of bounds or reach, 99 for all else.
 */
#ifndef WEFT_TESTS_CUDA_EMULATOR_H
#define WEFT_TESTS_CUDA_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EMULATOR_FAULT = 98, EMULATOR_MISUSE = 99 };

/* Since the process began, but for what is there now. */
typedef struct emulator_counts {
    int64_t launches, copies, products;              /* given to streams */
    int64_t blocks, bytes, streams, events, handles; /* there now: memory of all kinds; handles of cuBLASLt */
} emulator_counts;

void emulator_count(emulator_counts *out);

/* Between a call with 1 and one with -1, of any threads, nothing counts for WEFT_EMULATOR_FAIL. */
void emulator_spare(int more);

#ifdef __cplusplus
}
#endif

#endif
