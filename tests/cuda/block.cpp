/* Kernels: the threads of a block as fibers, and what holds them together. */
#include "parts.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

enum { SHARED_ROOM = (emulator::SHARED_MOST + emulator::PAGE - 1) / emulator::PAGE * emulator::PAGE };

/* Where all kernels have their shared memory; what a launch did not ask for is closed. */
alignas(emulator::PAGE) unsigned char weft_shared[SHARED_ROOM + emulator::PAGE];
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator
{

enum { STACK = 128 << 10 };

fiber *threads[MAX_THREADS];
fiber *current;
size_t shared_bytes;
static std::vector<fiber *> fibers;
static fiber scheduler;
static const std::function<void()> *body;
static const char *begun, *ended, *barrier;

/* ---- contexts: what is kept of one is its stack pointer, or a ucontext_t elsewhere ---- */

#ifdef __x86_64__
extern "C" void emulator_switch(void **from, void *to);
asm(".text\n.globl emulator_switch\n.type emulator_switch,@function\nemulator_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size emulator_switch,.-emulator_switch\n");

static void *make_context(char *stack, void (*main)(void))
{
    void **top = (void **)(stack + STACK) - 2;
    top[0] = (void *)main;
    return top - 6;
}
#else
static void emulator_switch(void **from, void *to)
{
    static ucontext_t scheduler_context;
    if (*from == nullptr) *from = &scheduler_context;
    swapcontext((ucontext_t *)*from, (ucontext_t *)to);
}

static void *make_context(char *stack, void (*main)(void))
{
    ucontext_t *made = new ucontext_t;
    getcontext(made);
    made->uc_stack.ss_sp = stack;
    made->uc_stack.ss_size = STACK;
    makecontext(made, main, 0);
    return made;
}
#endif

void *scheduler_logical(void)
{
    return scheduler.logical;
}

void leave_fiber(void)
{
    fiber *const from = current;
    logical_enter(scheduler.logical);
    emulator_switch(&from->context, scheduler.context);
}

static void fiber_main(void)
{
    for (;;) {
        learn(begun);
        (*body)();
        finish_copies(current, -1);
        tell(ended);
        current->state = fiber_state::ended;
        leave_fiber();
    }
}

static void resume(fiber *to)
{
    current = to;
    threadIdx = to->thread;
    running.in_thread = true;
    logical_enter(to->logical);
    emulator_switch(&scheduler.context, to->context);
    running.in_thread = false;
    current = nullptr;
}

static fiber *make_fiber(void)
{
    fiber *made = new fiber;
    made->stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made->stack == MAP_FAILED) misuse("no memory for the stack of a thread");
    mprotect(made->stack, PAGE, PROT_NONE);
    made->logical = logical_create();
    made->context = make_context((char *)made->stack, fiber_main);
    return made;
}

/* Other fibers in each block, so that the race detector tells blocks from one another. */
static void seat_threads(unsigned count, dim3 block)
{
    enum { LEAST = 128 };
    static size_t first;
    while (fibers.size() < count || fibers.size() < LEAST) fibers.push_back(make_fiber());
    first += count;
    for (unsigned i = 0; i < count; i++) {
        fiber *seat = threads[i] = fibers[(first + i) % fibers.size()];
        seat->thread = {i % block.x, i / block.x % block.y, i / block.x / block.y};
        seat->state = fiber_state::runs;
        seat->copies.clear();
        seat->groups = 0;
    }
}

/* ---- one block ---- */

template <class T> static void order(std::vector<T> &all)
{
    const size_t count = all.size();
    for (size_t i = 0; i < count; i++) all[i] = (T)(setting().threads == threads_run::down ? count - 1 - i : i);
    if (setting().threads != threads_run::random) return;
    for (size_t i = count; i > 1; i--) std::swap(all[i - 1], all[draw(i)]);
}

static bool same_place(const emulator_place &a, const emulator_place &b)
{
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

[[noreturn]] static void report_hang(unsigned count)
{
    const fiber *waiting = nullptr, *lane = nullptr;
    for (unsigned i = 0; i < count; i++) {
        if (threads[i]->state == fiber_state::at_barrier) waiting = threads[i];
        if (threads[i]->state == fiber_state::in_warp) lane = threads[i];
    }
    if (waiting == nullptr)
        misuse("a warp hangs: lanes wait for one another in collectives, one of them at %s:%d with the mask %08x",
               lane->place.file, lane->place.line, lane->mask);
    misuse(
        "a block hangs: thread (%u, %u, %u) waits at the barrier at %s:%d, thread (%u, %u, %u) for its warp at %s:%d",
        waiting->thread.x, waiting->thread.y, waiting->thread.z, waiting->place.file, waiting->place.line,
        lane->thread.x, lane->thread.y, lane->thread.z, lane->place.file, lane->place.line);
}

/* Lets all go on that wait at the barrier, once all others have ended. Whether the block has ended. */
static bool pass_barrier(unsigned count)
{
    const fiber *first = nullptr;
    unsigned waiting = 0, gone = 0;
    for (unsigned i = 0; i < count; i++) {
        const fiber *thread = threads[i];
        gone += thread->state == fiber_state::ended;
        if (thread->state != fiber_state::at_barrier) continue;
        if (first == nullptr) first = thread;
        if (!same_place(first->place, thread->place))
            misuse("threads of a block wait at different barriers: (%u, %u, %u) at %s:%d, (%u, %u, %u) at %s:%d",
                   first->thread.x, first->thread.y, first->thread.z, first->place.file, first->place.line,
                   thread->thread.x, thread->thread.y, thread->thread.z, thread->place.file, thread->place.line);
        waiting++;
    }
    if (gone == count) return true;
    if (gone + waiting != count) report_hang(count);
    for (unsigned i = 0; i < count; i++) {
        if (threads[i]->state != fiber_state::at_barrier) continue;
        threads[i]->learns = barrier;
        threads[i]->state = fiber_state::runs;
    }
    barrier = new_token();
    return false;
}

/* Lets each lane of a warp run as far as it comes alone. Whether one could. */
static bool run_lanes(unsigned base, unsigned count)
{
    static std::vector<uint8_t> turns;
    bool moved = false;
    turns.resize(count);
    order(turns);
    for (uint8_t turn : turns) {
        fiber *lane = threads[base + turn];
        if (lane->state != fiber_state::runs) continue;
        resume(lane);
        moved = true;
    }
    return moved;
}

/* A warp runs on until all its lanes wait at a barrier or have ended; in random order another may come in between. */
static bool run_warp(unsigned base, unsigned count)
{
    bool moved = false;
    while (run_lanes(base, count)) {
        moved = true;
        if (!finish_warp(threads + base, (int)count)) break;
        if (setting().threads == threads_run::random && draw(8) == 0) break;
    }
    return moved;
}

static void run_block(unsigned count)
{
    static std::vector<uint8_t> turns;
    turns.resize((count + WARP - 1) / WARP);
    barrier = new_token();
    for (;;) {
        bool moved = false;
        order(turns);
        for (uint8_t turn : turns) {
            const unsigned base = (unsigned)turn * WARP;
            if (run_warp(base, std::min(count - base, (unsigned)WARP))) moved = true;
        }
        if (!moved && pass_barrier(count)) return;
    }
}

/* ---- shared memory ---- */

static size_t opened_shared(void)
{
    return (shared_bytes + PAGE - 1) / PAGE * PAGE;
}

static void open_shared(size_t bytes)
{
    static size_t open = SHARED_ROOM + PAGE;
    shared_bytes = bytes;
    if (opened_shared() == open) return;
    open = opened_shared();
    mprotect(weft_shared, sizeof weft_shared, PROT_NONE);
    if (open > 0) mprotect(weft_shared, open, PROT_READ | PROT_WRITE);
}

/* What a block finds there is nobody's; for the race detector, new pages forget who touched the last block's. */
static void fill_shared(void)
{
    if (shared_bytes == 0) return;
#ifdef EMULATOR_RACES
    mmap(weft_shared, opened_shared(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
    memset(weft_shared, POISON, opened_shared());
}

static void check_shared(void)
{
    for (size_t i = shared_bytes; i < opened_shared(); i++)
        if (weft_shared[i] != POISON)
            misuse("it wrote byte %zu of shared memory; its launch asked for %zu", i, shared_bytes);
}

void run_kernel(dim3 grid, dim3 block, size_t shared, const std::function<void()> &thread)
{
    const hidden quiet;
    std::vector<uint32_t> turns(grid.x * grid.y * grid.z);
    order(turns);
    open_shared(shared);
    body = &thread;
    blockDim = block;
    gridDim = grid;
    ended = new_token();
    scheduler.logical = logical_here();
    for (uint32_t turn : turns) {
        fill_shared();
        begun = new_token();
        tell(begun);
        blockIdx = {turn % grid.x, turn / grid.x % grid.y, turn / grid.x / grid.y};
        seat_threads(block.x * block.y * block.z, block);
        run_block(block.x * block.y * block.z);
        check_shared();
    }
    learn(ended);
}

/* ---- launches ---- */

/* By GPU and kernel: how much shared memory a launch may ask for, where that was said. */
static std::map<std::pair<int, const void *>, size_t> allowed_shared;

/* For WEFT_EMULATOR_LAUNCHES: what launches asked for at most. */
class launch_table
{
  public:
    void note(const void *kernel, const cudaLaunchConfig_t &config)
    {
        size_t &most = shared[kernel];
        most = std::max(most, config.dynamicSmemBytes);
    }
    ~launch_table()
    {
        const char *path = getenv("WEFT_EMULATOR_LAUNCHES");
        FILE *file = path != nullptr && *path != '\0' ? fopen(path, "w") : nullptr;
        if (file == nullptr) return;
        for (const auto &row : shared) fprintf(file, "shared|%s|%zu\n", kernel_name(row.first).c_str(), row.second);
        fclose(file);
    }

  private:
    std::map<const void *, size_t> shared;
};
static launch_table launched;

static cudaError_t check_shape(const cudaLaunchConfig_t &config, const void *kernel)
{
    const dim3 &grid = config.gridDim, &block = config.blockDim;
    const uint64_t in_block = (uint64_t)block.x * block.y * block.z;
    if (grid.x < 1 || grid.x > INT32_MAX || grid.y < 1 || grid.y > 65535 || grid.z < 1 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (in_block < 1 || block.z > 64 || in_block > MAX_THREADS) return cudaErrorInvalidConfiguration;
    if (config.numAttrs != 0) return cudaErrorNotSupported;
    const auto found = allowed_shared.find({current_gpu(), kernel});
    const size_t allowed = found == allowed_shared.end() ? 48 << 10 : found->second;
    return config.dynamicSmemBytes > allowed ? cudaErrorInvalidValue : cudaSuccess;
}

static void check_pointers(const void *kernel, int gpu, const void *const *pointers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pointers[i] == nullptr || reaches(gpu, pointers[i])) continue;
        const std::string what = describe(pointers[i]);
        misuse("%s is given as its argument %zu what GPU %d does not reach: %s", kernel_name(kernel).c_str(), i, gpu,
               what.empty() ? "memory of the host that is not pinned" : what.c_str());
    }
}

} // namespace emulator

using namespace emulator;

cudaError_t emulator_launch(const cudaLaunchConfig_t *config, const void *kernel, const void *const *pointers,
                            size_t pointer_count, std::function<void()> thread)
{
    const entry guard;
    int gpu = 0;
    cudaStream_t stream = config->stream;
    cudaError_t error = check_stream(&stream, &gpu);
    if (error == cudaSuccess && gpu != current_gpu()) error = cudaErrorInvalidResourceHandle;
    if (error == cudaSuccess) error = check_shape(*config, kernel);
    if (error == cudaSuccess && fails_now(failing::launch)) error = setting().fails_with;
    if (error != cudaSuccess) return result(error);
    check_pointers(kernel, gpu, pointers, pointer_count);
    const dim3 grid = config->gridDim, block = config->blockDim;
    const size_t shared = config->dynamicSmemBytes;
    launched.note(kernel, *config);
    return enqueue(stream, {work::kernel, "a kernel", kernel, reached_by(gpu),
                            [=]() { run_kernel(grid, block, shared, thread); }});
}

cudaError_t emulator_function_attribute(const void *kernel, cudaFuncAttribute, int value)
{
    const entry guard;
    const cudaError_t error = usable();
    if (error != cudaSuccess) return result(error);
    if (value < 0 || (size_t)value > shared_limit()) return result(cudaErrorInvalidValue);
    allowed_shared[{current_gpu(), kernel}] = (size_t)value;
    return cudaSuccess;
}

void emulator_barrier(emulator_place place)
{
    fiber *const self = current;
    if (self == nullptr) misuse("a barrier outside of a kernel, at %s:%d", place.file, place.line);
    self->state = fiber_state::at_barrier;
    self->place = place;
    tell(barrier);
    leave_fiber();
    learn(self->learns);
}
