/*
 * Streams and events: what was given, and what of it runs next. All that a stream waits for was given before it waited,
 * so that something can run as long as anything is left.
 */
#include "parts.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <unordered_set>

namespace emulator
{

/* One cudaEventRecord. */
struct point {
    bool reached = false;
    int64_t nanoseconds = 0;
    const char *token = new_token();
};

struct operation {
    enum { WORK, RECORD, WAIT } kind;
    work given;
    std::shared_ptr<point> at; /* of records and waits */
    const char *enqueued;
};

} // namespace emulator

using namespace emulator;

struct CUstream_st {
    int gpu;
    void *logical;
    const char *done; /* tells of all that has run */
    uint64_t priority;
    uint64_t posted, finished;
    std::deque<operation> queue;
    bool destroyed; /* what it was given goes on */
};

struct CUevent_st {
    int gpu;
    bool timed;
    std::shared_ptr<point> last;
};

namespace emulator
{

static std::vector<cudaStream_t> streams;
static std::unordered_set<cudaEvent_t> events;
static cudaStream_t own_streams[MAX_GPUS]; /* what NULL means; made when they are needed */
static int64_t launches, copies, products;

static int64_t nanoseconds_now(void)
{
    const hidden quiet; /* each stream's logical thread writes here, on the one stack */
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool can_run(const CUstream_st *stream)
{
    if (stream->queue.empty()) return false;
    const operation &head = stream->queue.front();
    return head.kind != operation::WAIT || head.at->reached;
}

/* What touches the memory of a lost GPU takes its own with it. */
static void run_work(int gpu, const work &given)
{
    for (int peer = 0; peer < gpu_count(); peer++)
        if ((given.gpus >> peer & 1) != 0 && lost(peer) != cudaSuccess) lose(gpu, lost(peer));
    if (lost(gpu) != cudaSuccess) return;
    if (fails_now(failing::operation)) {
        lose(gpu, setting().fails_with);
        return;
    }
    open_memory(given.gpus);
    running.what = given.name;
    running.kernel = given.function;
    given.run();
    running = {};
}

static void run_head(CUstream_st *stream)
{
    const operation head = std::move(stream->queue.front());
    stream->queue.pop_front();
    void *const host = logical_here();
    logical_enter(stream->logical);
    learn(head.enqueued);
    if (head.kind == operation::WORK) run_work(stream->gpu, head.given);
    if (head.kind == operation::WAIT) learn(head.at->token);
    if (head.kind == operation::RECORD) {
        tell(head.at->token);
        head.at->reached = true;
        head.at->nanoseconds = nanoseconds_now();
    }
    tell(stream->done);
    logical_enter(host);
    stream->finished++;
}

/* The stream with the highest priority; now and then one gets another. */
static bool run_one(void)
{
    CUstream_st *chosen = nullptr;
    for (CUstream_st *stream : streams)
        if (can_run(stream) && (chosen == nullptr || stream->priority > chosen->priority)) chosen = stream;
    if (chosen == nullptr) return false;
    if (draw(8) == 0) chosen->priority = draw(UINT64_MAX);
    run_head(chosen);
    return true;
}

static void run_some(uint64_t count)
{
    while (count-- > 0 && run_one()) continue;
}

static void run_until_finished(const CUstream_st *stream, uint64_t count)
{
    while (stream->finished < count)
        if (!run_one()) misuse("the host waits for what cannot happen");
}

static void run_until_reached(const point &at)
{
    while (!at.reached)
        if (!run_one()) misuse("the host waits for an event that cannot happen");
}

static void post(CUstream_st *stream, operation given)
{
    given.enqueued = new_token();
    tell(given.enqueued);
    stream->queue.push_back(std::move(given));
    stream->posted++;
    if (setting().streams == streams_run::eager) run_until_finished(stream, stream->posted);
    if (setting().streams == streams_run::some && draw(4) == 0) run_some(draw(8));
}

/* Time passes while the host asks. */
static void let_pass(void)
{
    run_some(1 + draw(4));
}

/* Nothing is left to do of streams that were destroyed. */
static void forget_destroyed(void)
{
    for (size_t i = streams.size(); i-- > 0;) {
        CUstream_st *stream = streams[i];
        if (!stream->destroyed || stream->finished < stream->posted) continue;
        streams.erase(streams.begin() + (ptrdiff_t)i);
        logical_destroy(stream->logical);
        delete stream;
    }
}

static cudaStream_t make_stream(int gpu)
{
    forget_destroyed();
    cudaStream_t stream = new CUstream_st{gpu, logical_create(), new_token(), draw(UINT64_MAX), 0, 0, {}, false};
    streams.push_back(stream);
    return stream;
}

cudaError_t check_stream(cudaStream_t *stream, int *out_gpu)
{
    const cudaError_t error = usable();
    if (*stream == nullptr) {
        if (error != cudaSuccess) return error;
        cudaStream_t &own = own_streams[current_gpu()];
        if (own == nullptr) own = make_stream(current_gpu());
        *stream = own;
    }
    if (std::find(streams.begin(), streams.end(), *stream) == streams.end() || (*stream)->destroyed)
        misuse("%p is no stream, or one that was destroyed", (void *)*stream);
    *out_gpu = (*stream)->gpu;
    return lost(*out_gpu);
}

static void check_event(cudaEvent_t event)
{
    if (events.count(event) == 0) misuse("%p is no event, or one that was destroyed", (void *)event);
}

cudaError_t enqueue(cudaStream_t stream, work given)
{
    launches += given.kind == work::kernel;
    copies += given.kind == work::copy;
    products += given.kind == work::product;
    post(stream, {operation::WORK, std::move(given), nullptr, nullptr});
    return cudaSuccess;
}

cudaError_t wait_for_stream(cudaStream_t stream)
{
    run_until_finished(stream, stream->posted);
    learn(stream->done);
    return lost(stream->gpu);
}

void wait_for_gpu(int gpu)
{
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i]->gpu == gpu) wait_for_stream(streams[i]);
}

void count_streams(emulator_counts *counts)
{
    counts->launches = launches;
    counts->copies = copies;
    counts->products = products;
    for (const CUstream_st *stream : streams) counts->streams += !stream->destroyed;
    counts->events = (int64_t)events.size();
    for (cudaStream_t own : own_streams) counts->streams -= own != nullptr;
}

} // namespace emulator

extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned int flags, int)
{
    const entry guard;
    if (flags != cudaStreamNonBlocking) misuse("a stream that waits for the NULL stream: give cudaStreamNonBlocking");
    const cudaError_t error = usable();
    *out = error == cudaSuccess ? make_stream(current_gpu()) : nullptr;
    return result(error);
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned int flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

/* Waits for nothing. */
extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    const entry guard;
    int gpu = 0;
    if (stream == nullptr) return result(cudaErrorInvalidResourceHandle);
    const cudaError_t error = check_stream(&stream, &gpu);
    stream->destroyed = true;
    forget_destroyed();
    return result(error);
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    const entry guard;
    int gpu = 0;
    const cudaError_t error = check_stream(&stream, &gpu);
    return result(error != cudaSuccess ? error : wait_for_stream(stream));
}

extern "C" cudaError_t cudaDeviceSynchronize(void)
{
    const entry guard;
    const cudaError_t error = usable();
    if (error != cudaSuccess) return result(error);
    wait_for_gpu(current_gpu());
    return result(lost(current_gpu()));
}

/* Waits for the last record before this call; an event that was never recorded holds nobody up. */
extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int)
{
    const entry guard;
    int gpu = 0;
    check_event(event);
    const cudaError_t error = check_stream(&stream, &gpu);
    if (error != cudaSuccess) return result(error);
    if (event->last != nullptr) post(stream, {operation::WAIT, {}, event->last, nullptr});
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned int flags)
{
    const entry guard;
    const cudaError_t error = usable();
    *out = nullptr;
    if (error != cudaSuccess) return result(error);
    *out = new CUevent_st{current_gpu(), (flags & cudaEventDisableTiming) == 0, nullptr};
    events.insert(*out);
    return cudaSuccess;
}

/* What waits for it goes on waiting. */
extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    const entry guard;
    check_event(event);
    events.erase(event);
    delete event;
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    const entry guard;
    int gpu = 0;
    check_event(event);
    cudaError_t error = check_stream(&stream, &gpu);
    if (error == cudaSuccess && gpu != event->gpu) error = cudaErrorInvalidResourceHandle;
    if (error != cudaSuccess) return result(error);
    event->last = std::make_shared<point>();
    post(stream, {operation::RECORD, {}, event->last, nullptr});
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event)
{
    const entry guard;
    check_event(event);
    let_pass();
    if (event->last != nullptr && !event->last->reached) return cudaErrorNotReady;
    if (event->last != nullptr) learn(event->last->token);
    return result(lost(event->gpu));
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    const entry guard;
    check_event(event);
    if (event->last == nullptr) return result(lost(event->gpu));
    run_until_reached(*event->last);
    learn(event->last->token);
    return result(lost(event->gpu));
}

extern "C" cudaError_t cudaEventElapsedTime(float *out_milliseconds, cudaEvent_t begin, cudaEvent_t end)
{
    const entry guard;
    check_event(begin);
    check_event(end);
    if (!begin->timed || !end->timed || begin->gpu != end->gpu || begin->last == nullptr || end->last == nullptr)
        return result(cudaErrorInvalidResourceHandle);
    if (!begin->last->reached || !end->last->reached) return cudaErrorNotReady;
    *out_milliseconds = (float)((double)(end->last->nanoseconds - begin->last->nanoseconds) * 1e-6);
    return result(lost(begin->gpu));
}
