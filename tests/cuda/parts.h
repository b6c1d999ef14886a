/*
 * What the emulator's files share. Everything below runs under one lock (class entry), so that host threads may call
 * from anywhere; a thread that waits for an event runs what the event waits for, whoever gave it.
 */
#ifndef WEFT_TESTS_CUDA_PARTS_H
#define WEFT_TESTS_CUDA_PARTS_H

#include "cuda_runtime.h"
#include "emulator.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace emulator
{

enum { MAX_GPUS = 16, MAX_THREADS = 1024, WARP = 32, PAGE = 4096, SHARED_MOST = 227 << 10, POISON = 0xff };

/* ---- settings.cpp ---- */
enum class streams_run { lazy, eager, some };
enum class threads_run { up, down, random };
enum class failing { nothing, operation, allocation, launch };
struct settings {
    uint64_t seed = 1;
    streams_run streams = streams_run::lazy;
    threads_run threads = threads_run::random;
    int gpus = 1;
    bool driver = true, peers = true;
    size_t memory = (size_t)16384 << 20;
    int capability = 90;
    failing fails = failing::nothing;
    int64_t fails_at = 0;
    cudaError_t fails_with = cudaSuccess;
};
const settings &setting(void);
/* Below `bound`, by the seed. */
uint64_t draw(uint64_t bound);
/* Counts another one of its kind; whether it is the one that is to fail. */
bool fails_now(failing kind);

/* ---- fault.cpp ---- */
/* Where the emulator is, for messages: empty between operations. */
struct current_operation {
    const char *what = nullptr; /* of a kernel, its name is looked up when it is needed */
    const void *kernel = nullptr;
    bool in_thread = false; /* threadIdx and blockIdx mean something */
};
extern current_operation running; /* of the thread that holds the lock */
bool holds_lock(void);
[[noreturn]] void misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
void watch_for_faults(void); /* in every thread that may touch what it should not */
void catch_touches(void);    /* libraries of tests put handlers of their own in place of ours */
std::string kernel_name(const void *kernel);

/* ---- the race detector; nothing where there is none ---- */
void *logical_create(void);
void logical_destroy(void *logical);
void *logical_here(void);
void logical_enter(void *logical); /* without synchronisation */
void tell(const void *token);
void learn(const void *token);
/* at: the instruction of a kernel that reports name, or NULL for the caller. */
void seen_reading(const void *memory, size_t bytes, const void *at = nullptr);
void seen_writing(const void *memory, size_t bytes, const void *at = nullptr);
const char *new_token(void); /* an address that stands for a point of synchronisation */

/* Hides the reads and writes in its scope from the race detector, by the logical thread that is current at both ends.
 */
class hidden
{
  public:
    hidden();
    ~hidden();
    hidden(const hidden &) = delete;
    hidden &operator=(const hidden &) = delete;
};
/* Holds the lock. */
class entry
{
  public:
    entry();
    ~entry();
    entry(const entry &) = delete;
    entry &operator=(const entry &) = delete;

  private:
    hidden quiet;
};

/* ---- memory.cpp ---- */
enum class memory_kind { device, pinned, pageable };
struct block {
    char *mapping, *user;
    size_t mapped, bytes;
    memory_kind kind;
    int gpu;
    bool freed;
    block *next_touched;
};
const block *block_of(const void *memory); /* NULL: pageable */
/* cudaSuccess where it is whole in one block or pageable. */
cudaError_t classify(const void *memory, size_t bytes, memory_kind *out_kind, int *out_gpu);
bool reaches(int gpu, const void *memory); /* whether kernels of the GPU may touch it */
void open_memory(unsigned gpus);           /* of the GPUs of this mask and no others, until closed: */
bool open_touched(const void *memory);     /* each block once it is touched; whether it may be, and had no rights */
void close_memory(void);
void count_memory(emulator_counts *counts);
/* What to call an address in a message; empty: no memory of the emulator. */
std::string describe(const void *memory);

/* ---- device.cpp ---- */
int current_gpu(void);
int gpu_count(void);
unsigned reached_by(int gpu); /* the GPUs whose memory its kernels reach, as a mask */
size_t shared_limit(void);    /* bytes of a block that asks for them */
/* Remembers it for cudaGetLastError. */
cudaError_t result(cudaError_t error);
cudaError_t lost(int gpu); /* what every call on the GPU says since an operation failed */
void lose(int gpu, cudaError_t error);
cudaError_t usable(void); /* whether there is a GPU for this thread */

/* ---- stream.cpp ---- */
/* What a stream carries out; gpus: a mask of those whose memory it touches. */
struct work {
    enum what_kind { kernel, copy, product, other } kind;
    const char *name;
    const void *function; /* of a kernel */
    unsigned gpus;
    std::function<void()> run;
};
cudaError_t enqueue(cudaStream_t stream, work given);
/* The GPU's own stream where it is NULL. */
cudaError_t check_stream(cudaStream_t *stream, int *out_gpu);
cudaError_t wait_for_stream(cudaStream_t stream);
void wait_for_gpu(int gpu);
void count_streams(emulator_counts *counts);

/* ---- block.cpp, warp.cpp ---- */
void run_kernel(dim3 grid, dim3 block, size_t shared, const std::function<void()> &thread);

extern size_t shared_bytes; /* of the launch that runs */
enum class fiber_state { runs, at_barrier, in_warp, ended };
struct pending_copy {
    void *shared;
    const void *global;
    size_t bytes;
    bool filled, done;
    int group;
    const char *token; /* tells that it is there */
};
struct fiber {
    void *stack = nullptr, *context = nullptr, *logical = nullptr;
    void *copier = nullptr; /* the logical thread that its asynchronous copies are */
    uint3 thread = {};
    fiber_state state = fiber_state::ended;
    emulator_place place = {};
    const void *called_from = nullptr;
    emulator_collective kind = EMULATOR_SYNCWARP;
    unsigned mask = 0;
    int operand = 0, width = 0;
    uint64_t value = 0;
    const char *learns = nullptr;
    std::vector<pending_copy> copies;
    int groups = 0;
};
extern fiber *threads[MAX_THREADS]; /* of the block that runs */
extern fiber *current;
void *scheduler_logical(void);
void leave_fiber(void); /* back to the scheduler, until the fiber is resumed */
/* Completes the collectives of a warp of so many lanes for which all have come. Whether there was one. */
bool finish_warp(fiber **lanes, int count);
void finish_copies(fiber *of, int groups); /* but for the last `groups` */

/* product.cpp is a library of its own, as cuBLASLt is; what it has made is counted here (device.cpp). */
extern int64_t product_handles;

} // namespace emulator

#endif
