/*
 * scenes list: the rows of bugs.def. scenes BUG: runs the scene with that mistake made in it; `none` runs all.
 * Status 0: all came out right. 1: a value is wrong. 2: a call returned an error. Others are the emulator's and the
 * race detector's. The last line has the bits of what was computed.
 */
#include "scenes.h"

#include "emulator.h"

#include <cublasLt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scene {
    const char *name;
    void (*play)(bug wrong);
} scene;

static int values_wrong;
static uint32_t bits;

static void must(cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return;
    printf("%s: %s\n", what, cudaGetErrorString(error));
    exit(2);
}
#define MUST(call) must(call, #call)

static void must_multiply(cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS) return;
    printf("%s: %s\n", what, cublasLtGetStatusString(status));
    exit(2);
}
#define MUST_MULTIPLY(call) must_multiply(call, #call)

static void expect(bool right, const char *what)
{
    if (!right && values_wrong++ == 0) printf("wrong: %s\n", what);
}

static void expect_near(double value, double wanted, double within, const char *what)
{
    expect(fabs(value - wanted) <= within, what);
}

static void fold(float value)
{
    uint32_t own;
    memcpy(&own, &value, sizeof own);
    bits = bits * 31u + own;
}

static void *on_gpu(size_t bytes)
{
    void *out = NULL;
    MUST(cudaMalloc(&out, bytes));
    return out;
}

static void *pinned(size_t bytes)
{
    void *out = NULL;
    MUST(cudaMallocHost(&out, bytes));
    return out;
}

static cudaStream_t stream_new(void)
{
    cudaStream_t out = NULL;
    MUST(cudaStreamCreateWithFlags(&out, cudaStreamNonBlocking));
    return out;
}

static cudaEvent_t event_new(void)
{
    cudaEvent_t out = NULL;
    MUST(cudaEventCreateWithFlags(&out, cudaEventDisableTiming));
    return out;
}

static float wide(uint16_t value)
{
    const uint32_t own = (uint32_t)value << 16;
    float out;
    memcpy(&out, &own, sizeof out);
    return out;
}

/* Small numbers that bf16 holds. */
static uint16_t narrow_at(int i)
{
    const float value = (float)((i * 37 + i / 7 * 11) % 64 - 32) / 16.0f;
    uint32_t own;
    memcpy(&own, &value, sizeof own);
    return (uint16_t)(own >> 16);
}

static float plain_at(int i)
{
    return wide(narrow_at(i));
}

/* ---- losses: a copy stream brings logits and targets, a compute stream works, the copy stream takes what it made ----
 */

typedef struct losses_memory {
    uint16_t *logits, *host_logits, *out;
    int32_t *targets, *host_targets;
    float *losses, *sum, *host_sum;
} losses_memory;

static int32_t target_of(int row)
{
    return row * 41 % WIDTH;
}

static losses_memory losses_take(void)
{
    losses_memory m = {
        .logits = on_gpu(ROWS * WIDTH * 2),
        .host_logits = pinned(ROWS * WIDTH * 2),
        .out = pinned(ROWS * WIDTH * 2),
        .targets = on_gpu(ROWS * 4),
        .host_targets = pinned(ROWS * 4),
        .losses = on_gpu(ROWS * 4),
        .sum = on_gpu(4),
        .host_sum = pinned(4),
    };
    for (int i = 0; i < ROWS * WIDTH; i++) m.host_logits[i] = narrow_at(i);
    for (int i = 0; i < ROWS; i++) m.host_targets[i] = target_of(i);
    return m;
}

static void losses_give_back(losses_memory *m)
{
    void *on_gpus[] = {m->logits, m->targets, m->losses, m->sum};
    void *on_host[] = {m->host_logits, m->out, m->host_targets, m->host_sum};
    for (int i = 0; i < 4; i++) MUST(cudaFree(on_gpus[i]));
    for (int i = 0; i < 4; i++) MUST(cudaFreeHost(on_host[i]));
}

static void losses_compare(const losses_memory *m)
{
    double sum = 0;
    for (int row = 0; row < ROWS; row++) {
        double total = 0;
        for (int i = 0; i < WIDTH; i++) total += exp(plain_at(row * WIDTH + i));
        sum += log(total) - plain_at(row * WIDTH + target_of(row));
        for (int i = 0; i < WIDTH; i++) {
            const double wanted = exp(plain_at(row * WIDTH + i)) / total - (i == target_of(row));
            expect_near(wide(m->out[row * WIDTH + i]), wanted, 0.004 * fabs(wanted), "the gradient of a logit");
        }
    }
    expect_near(m->host_sum[0], sum, 1e-4 * sum, "the loss");
    fold(m->host_sum[0]);
}

static void losses_bring(bug wrong, const losses_memory *m, cudaStream_t copying)
{
    const size_t bytes = ROWS * WIDTH * 2;
    const size_t sent = wrong == BUG_short_copy ? bytes - 2 : wrong == BUG_long_copy ? bytes + 2 : bytes;
    const enum cudaMemcpyKind kind = wrong == BUG_direction ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
    MUST(cudaMemcpyAsync(m->logits, m->host_logits, sent, kind, copying));
    if (wrong != BUG_unwritten)
        MUST(cudaMemcpyAsync(m->targets, m->host_targets, ROWS * 4, cudaMemcpyHostToDevice, copying));
    if (wrong == BUG_unwritten) MUST(cudaMemsetAsync(m->targets, 0, ROWS * 4 - 4, copying));
}

static void losses_compute(bug wrong, const losses_memory *m, cudaStream_t computing)
{
    if (wrong == BUG_atomic) MUST(cudaMemsetAsync(m->sum, 0, 4, computing));
    MUST(scene_losses(computing, wrong, m->logits, m->targets, m->losses, wrong == BUG_atomic ? m->sum : NULL));
    if (wrong != BUG_atomic) MUST(scene_add(computing, wrong, m->losses, m->sum));
}

static void losses_play(bug wrong)
{
    losses_memory m = losses_take();
    const cudaStream_t copying = stream_new(), computing = stream_new();
    const cudaEvent_t arrived = event_new(), computed = event_new();
    int32_t plain_targets[ROWS] = {0};
    losses_bring(wrong, &m, copying);
    if (wrong != BUG_late_record) MUST(cudaEventRecord(arrived, copying));
    if (wrong == BUG_reused_pinned) m.host_targets[0] = 1;
    if (wrong != BUG_no_wait) MUST(cudaStreamWaitEvent(computing, arrived, 0));
    if (wrong == BUG_late_record) MUST(cudaEventRecord(arrived, copying));
    if (wrong == BUG_host_pointer) MUST(scene_losses(computing, wrong, m.logits, plain_targets, m.losses, NULL));
    losses_compute(wrong, &m, computing);
    MUST(cudaEventRecord(computed, computing));
    if (wrong != BUG_no_wait_back) MUST(cudaStreamWaitEvent(copying, computed, 0));
    if (wrong == BUG_host_reads) fold(*(volatile float *)m.losses);
    MUST(cudaMemcpyAsync(m.host_sum, m.sum, 4, cudaMemcpyDeviceToHost, copying));
    MUST(cudaMemcpyAsync(m.out, m.logits, ROWS * WIDTH * 2, cudaMemcpyDeviceToHost, copying));
    if (wrong == BUG_gone_stream)
        MUST(cudaStreamDestroy(copying));
    else
        MUST(cudaStreamSynchronize(wrong == BUG_wrong_stream ? computing : copying));
    losses_compare(&m);
    MUST(cudaDeviceSynchronize());
    losses_give_back(&m);
    MUST(cudaEventDestroy(arrived));
    MUST(cudaEventDestroy(computed));
    if (wrong != BUG_gone_stream) MUST(cudaStreamDestroy(copying));
    MUST(cudaStreamDestroy(computing));
}

/* ---- turn: what the lanes of a warp do together ---- */

static void turn_play(bug wrong)
{
    float *x = on_gpu(ROWS * 32 * 4), *out = on_gpu(ROWS * 32 * 4), host[ROWS * 32], turned[ROWS * 32];
    const cudaStream_t stream = stream_new();
    for (int i = 0; i < ROWS * 32; i++) host[i] = (float)(i + 1);
    MUST(cudaMemcpyAsync(x, host, sizeof host, cudaMemcpyHostToDevice, stream));
    MUST(scene_turn(stream, wrong, x, out));
    MUST(cudaMemcpyAsync(turned, out, sizeof turned, cudaMemcpyDeviceToHost, stream));
    for (int i = 0; i < ROWS * 32; i++) expect(turned[i] == host[i / 32 * 32 + 31 - i % 32], "a row turned round");
    MUST(cudaStreamDestroy(stream));
    MUST(cudaFree(x));
    MUST(cudaFree(out));
}

/* ---- tiles: tensor cores and asynchronous copies ---- */

static void tiles_play(bug wrong)
{
    enum { A = TILE * MATRIX_WIDTH, B = MATRIX_WIDTH * TILE_WIDTH, D = TILE * TILE_WIDTH };
    uint16_t *a = on_gpu(A * 2), *b = on_gpu(B * 2), host_a[A], host_b[B];
    float *d = on_gpu(2 * D * 4), host_d[2 * D];
    const cudaStream_t stream = stream_new();
    for (int i = 0; i < A; i++) host_a[i] = narrow_at(i);
    for (int i = 0; i < B; i++) host_b[i] = narrow_at(3 * i + 1);
    MUST(cudaMemcpyAsync(a, host_a, sizeof host_a, cudaMemcpyHostToDevice, stream));
    MUST(cudaMemcpyAsync(b, host_b, sizeof host_b, cudaMemcpyHostToDevice, stream));
    MUST(scene_tiles(stream, wrong, a, b, d));
    MUST(cudaMemcpyAsync(host_d, d, sizeof host_d, cudaMemcpyDeviceToHost, stream));
    for (int i = 0; i < 2 * D; i++) {
        double wanted = 0;
        for (int k = 0; k < MATRIX_WIDTH; k++)
            wanted += (double)wide(host_a[i % D / TILE_WIDTH * MATRIX_WIDTH + k]) *
                      wide(host_b[k * TILE_WIDTH + i % TILE_WIDTH]);
        expect_near(host_d[i], wanted, 1e-4, "a product by tensor cores");
    }
    MUST(cudaStreamDestroy(stream));
    MUST(cudaFree(a));
    MUST(cudaFree(b));
    MUST(cudaFree(d));
}

static void wide_play(bug wrong)
{
    float *x = on_gpu(33 * 16), host[128];
    const cudaStream_t stream = stream_new();
    MUST(cudaMemsetAsync(x, 0, 33 * 16, stream));
    MUST(scene_wide(stream, wrong, x));
    MUST(cudaMemcpyAsync(host, x, sizeof host, cudaMemcpyDeviceToHost, stream));
    for (int i = 0; i < 128; i++) expect(host[i] == 1.0f, "four at a time");
    MUST(cudaStreamDestroy(stream));
    MUST(cudaFree(x));
}

/* ---- count: memory and handles ---- */

static void count_misuse_after(bug wrong, float *x, float *host, cudaStream_t stream)
{
    if (wrong == BUG_double_free) MUST(cudaFree(x));
    if (wrong == BUG_use_after_free) MUST(cudaMemcpyAsync(host, x, 4, cudaMemcpyDeviceToHost, stream));
}

static void count_play(bug wrong)
{
    enum { COUNT = 100 };
    emulator_counts before, after;
    emulator_count(&before);
    float *x = on_gpu(COUNT * 4), host[COUNT], **address = on_gpu(sizeof *address);
    const cudaStream_t stream = stream_new();
    const cudaEvent_t event = event_new();
    MUST(scene_count(stream, wrong, COUNT, 0.5f, x));
    MUST(cudaMemcpyAsync(address, &x, sizeof x, cudaMemcpyHostToDevice, stream));
    MUST(cudaMemcpyAsync(host, x, sizeof host, cudaMemcpyDeviceToHost, stream));
    for (int i = 0; i < COUNT; i++) expect(host[i] == (float)i + 0.5f, "a count");
    MUST(cudaEventRecord(event, stream));
    if (wrong != BUG_leak) MUST(cudaEventDestroy(event));
    if (wrong == BUG_dead_event) MUST(cudaEventSynchronize(event));
    if (wrong != BUG_leak) MUST(cudaFree(x));
    if (wrong == BUG_kernel_after_free) MUST(scene_count_inside(stream, 1, address));
    count_misuse_after(wrong, x, host, stream);
    if (wrong != BUG_leak) MUST(cudaStreamDestroy(stream));
    if (wrong == BUG_dead_stream) MUST(cudaStreamSynchronize(stream));
    MUST(cudaFree(address));
    emulator_count(&after);
    expect(after.blocks == before.blocks && after.bytes == before.bytes && after.streams == before.streams &&
               after.events == before.events,
           "all that was taken was given back");
}

/* ---- peers: two GPUs ---- */

static void peers_write(bug wrong, float *there, float **address, cudaStream_t stream)
{
    if (wrong != BUG_no_peer && wrong != BUG_no_peer_inside) MUST(cudaDeviceEnablePeerAccess(1, 0));
    if (wrong == BUG_no_peer_inside) {
        MUST(cudaMemcpyAsync(address, &there, sizeof there, cudaMemcpyHostToDevice, stream));
        MUST(scene_count_inside(stream, 4, address));
        MUST(cudaStreamSynchronize(stream));
    }
    MUST(scene_count(stream, wrong, 4, 0.0f, there));
    MUST(cudaStreamSynchronize(stream));
}

static void peers_play(bug wrong)
{
    float host[4], *here = on_gpu(sizeof host), **address = on_gpu(sizeof *address);
    const cudaStream_t stream = stream_new();
    const cudaEvent_t written = event_new();
    MUST(cudaSetDevice(1));
    float *there = on_gpu(sizeof host);
    const cudaStream_t other = stream_new();
    if (wrong != BUG_other_gpu) MUST(cudaSetDevice(0));
    MUST(scene_count(stream, wrong, 4, 7.0f, here));
    MUST(cudaEventRecord(written, stream));
    MUST(cudaStreamWaitEvent(other, written, 0));
    MUST(cudaMemcpyPeerAsync(there, 1, here, 0, sizeof host, other));
    MUST(cudaMemcpyAsync(host, there, sizeof host, cudaMemcpyDeviceToHost, other));
    for (int i = 0; i < 4; i++) expect(host[i] == (float)i + 7.0f, "a copy from GPU to GPU");
    peers_write(wrong, there, address, stream);
    MUST(cudaMemcpyAsync(host, there, sizeof host, cudaMemcpyDeviceToHost, other));
    for (int i = 0; i < 4; i++) expect(host[i] == (float)i, "a kernel that writes to another GPU");
    MUST(cudaStreamDestroy(stream));
    MUST(cudaStreamDestroy(other));
    MUST(cudaEventDestroy(written));
    MUST(cudaDeviceDisablePeerAccess(1));
    MUST(cudaFree(here));
    MUST(cudaFree(there));
    MUST(cudaFree(address));
}

/* ---- handover: a GPU hands what it made over to another, and makes the next in its place ---- */

typedef struct handover {
    float *here, *there;              /* (HANDED) of GPU 0 and of GPU 1 */
    cudaStream_t makes, takes, idles; /* of GPU 0, of GPU 1, and another one of GPU 1 */
    cudaStream_t third;               /* of GPU 2 */
    cudaEvent_t made, taken;          /* of GPU 0, of GPU 1 */
} handover;

enum { HANDED = 64 };

static handover handover_take(void)
{
    handover h = {.here = on_gpu(HANDED * 4), .makes = stream_new(), .made = event_new()};
    MUST(cudaSetDevice(1));
    h.there = on_gpu(HANDED * 4);
    h.takes = stream_new();
    h.idles = stream_new();
    h.taken = event_new();
    MUST(cudaSetDevice(2));
    h.third = stream_new();
    MUST(cudaSetDevice(0));
    return h;
}

static void handover_give_back(const handover *h, bool freed)
{
    const cudaStream_t streams[] = {h->makes, h->takes, h->idles, h->third};
    for (int i = 0; i < 4; i++) MUST(cudaStreamDestroy(streams[i]));
    MUST(cudaEventDestroy(h->made));
    MUST(cudaEventDestroy(h->taken));
    if (!freed) MUST(cudaFree(h->here));
    MUST(cudaFree(h->there));
}

/* The host tells each GPU what to do, and waits for neither. */
static void handover_copy(bug wrong, const handover *h)
{
    const bool third = wrong == BUG_peer_third, aside = wrong == BUG_peer_wrong_stream;
    const cudaStream_t on = third ? h->third : aside ? h->idles : h->takes;
    const int from = wrong == BUG_peer_mixed_up;
    if (wrong != BUG_peer_no_wait) MUST(cudaStreamWaitEvent(h->takes, h->made, 0));
    if (wrong == BUG_peer_late_event) MUST(cudaEventRecord(h->taken, h->takes));
    MUST(cudaMemcpyPeerAsync(h->there, 1 - from, h->here, from, HANDED * 4, on));
    if (wrong != BUG_peer_late_event) MUST(cudaEventRecord(h->taken, on));
}

static void handover_play(bug wrong)
{
    float host[HANDED];
    const handover h = handover_take();
    MUST(scene_count(h.makes, wrong, HANDED, 5.0f, h.here));
    MUST(cudaEventRecord(h.made, wrong == BUG_peer_foreign_event ? h.takes : h.makes));
    handover_copy(wrong, &h);
    if (wrong == BUG_peer_freed) MUST(cudaFree(h.here));
    if (wrong != BUG_peer_no_wait_back) MUST(cudaStreamWaitEvent(h.makes, h.taken, 0));
    if (wrong != BUG_peer_freed) MUST(scene_count(h.makes, wrong, HANDED, 9.0f, h.here));
    if (wrong == BUG_peer_wrong_stream) MUST(cudaStreamWaitEvent(h.takes, h.taken, 0));
    MUST(cudaMemcpyAsync(host, h.there, sizeof host, cudaMemcpyDeviceToHost, h.takes));
    for (int i = 0; i < HANDED; i++) expect(host[i] == (float)i + 5.0f, "what was handed over");
    handover_give_back(&h, wrong == BUG_peer_freed);
}

/* ---- product: cuBLASLt ---- */

enum { M = 24, N = 16, K = 96 };

typedef struct product_state {
    cublasLtHandle_t library;
    cublasLtMatmulDesc_t matmul;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t choice;
    uint16_t *from; /* a (K, M), b (K, N), column-major, and a bias */
    float *out;     /* (2, N, M) */
    void *workspace;
    size_t workspace_bytes;
} product_state;

static void product_describe(product_state *p)
{
    const int32_t transposed = CUBLAS_OP_T;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    MUST_MULTIPLY(cublasLtCreate(&p->library));
    MUST_MULTIPLY(cublasLtMatmulDescCreate(&p->matmul, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    MUST_MULTIPLY(
        cublasLtMatmulDescSetAttribute(p->matmul, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    MUST_MULTIPLY(cublasLtMatrixLayoutCreate(&p->a, CUDA_R_16BF, K, M, K));
    MUST_MULTIPLY(cublasLtMatrixLayoutCreate(&p->b, CUDA_R_16BF, K, N, K));
    MUST_MULTIPLY(cublasLtMatrixLayoutCreate(&p->d, CUDA_R_32F, M, N, M));
    MUST_MULTIPLY(cublasLtMatmulPreferenceCreate(&p->preference));
    MUST_MULTIPLY(cublasLtMatmulPreferenceSetAttribute(p->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                       &p->workspace_bytes, sizeof p->workspace_bytes));
    MUST_MULTIPLY(cublasLtMatmulPreferenceSetAttribute(p->preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                       &schemes, sizeof schemes));
    int found = 0;
    MUST_MULTIPLY(cublasLtMatmulAlgoGetHeuristic(p->library, p->matmul, p->a, p->b, p->d, p->d, p->preference, 1,
                                                 &p->choice, &found));
    MUST_MULTIPLY(cublasLtMatmulAlgoCheck(p->library, p->matmul, p->a, p->b, p->d, p->d, &p->choice.algo, &p->choice));
    expect(p->choice.workspaceSize > 0, "an algorithm with a workspace is among the choices");
}

static void product_forget(product_state *p)
{
    MUST_MULTIPLY(cublasLtMatrixLayoutDestroy(p->a));
    MUST_MULTIPLY(cublasLtMatrixLayoutDestroy(p->b));
    MUST_MULTIPLY(cublasLtMatrixLayoutDestroy(p->d));
    MUST_MULTIPLY(cublasLtMatmulPreferenceDestroy(p->preference));
    MUST_MULTIPLY(cublasLtMatmulDescDestroy(p->matmul));
    MUST_MULTIPLY(cublasLtDestroy(p->library));
}

/* Adds to what is there when `beta` is 1. */
static void product_run(bug wrong, const product_state *p, float beta, float *out, char *workspace, cudaStream_t stream)
{
    const float alpha = 0.5f;
    const uint16_t *a = p->from + (wrong == BUG_misplaced ? 8 : 0);
    const size_t bytes = wrong == BUG_workspace_small ? p->choice.workspaceSize - 256 : p->workspace_bytes;
    if (wrong == BUG_overlap) out = (float *)(void *)p->from;
    MUST_MULTIPLY(cublasLtMatmul(p->library, p->matmul, &alpha, a, p->a, p->from + K * M, p->b, &beta, out, p->d, out,
                                 p->d, wrong == BUG_algorithm ? NULL : &p->choice.algo, workspace, bytes, stream));
}

static double product_wanted(const uint16_t *from, int i, int j)
{
    double sum = 0;
    for (int k = 0; k < K; k++) sum += (double)wide(from[i * K + k]) * wide(from[K * M + j * K + k]);
    return 0.5 * sum;
}

/* Numbers that products round. */
static void product_fill(uint16_t *from)
{
    for (int i = 0; i < K * (M + N); i++) {
        const float value = 1.0f / (float)(i * 7 % 61 + 3);
        uint32_t own;
        memcpy(&own, &value, sizeof own);
        from[i] = (uint16_t)(own >> 16);
    }
}

static void product_play(bug wrong)
{
    product_state p = {.workspace_bytes = 8192};
    uint16_t from[K * (M + N)];
    float out[2 * N * M];
    const cudaStream_t one = stream_new(), two = stream_new();
    product_fill(from);
    p.from = on_gpu(sizeof from);
    p.out = on_gpu(sizeof out);
    p.workspace = on_gpu(2 * p.workspace_bytes);
    product_describe(&p);
    MUST(cudaMemcpy(p.from, from, sizeof from, cudaMemcpyHostToDevice));
    product_run(wrong, &p, 0.0f, p.out, p.workspace, one);
    product_run(wrong, &p, 1.0f, p.out, p.workspace, one);
    product_run(wrong, &p, 0.0f, p.out + N * M, (char *)p.workspace + (wrong == BUG_workspace_shared ? 0 : 8192), two);
    MUST(cudaStreamSynchronize(one));
    MUST(cudaStreamSynchronize(two));
    MUST(cudaMemcpy(out, p.out, sizeof out, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 2 * N * M; i++) {
        const double wanted = product_wanted(from, i % M, i % (N * M) / M) * (i < N * M ? 2 : 1);
        expect_near(out[i], wanted, 1e-4 * fabs(wanted), "a product");
        fold(out[i]);
    }
    product_forget(&p);
    MUST(cudaStreamDestroy(one));
    MUST(cudaStreamDestroy(two));
    MUST(cudaFree(p.from));
    MUST(cudaFree(p.out));
    MUST(cudaFree(p.workspace));
}

/* ---- */

static const scene scenes[] = {{"losses", losses_play},     {"turn", turn_play},      {"tiles", tiles_play},
                               {"wide", wide_play},         {"count", count_play},    {"peers", peers_play},
                               {"handover", handover_play}, {"product", product_play}};

static const struct {
    const char *name, *scene, *eager, *lazy, *races, *text;
} bugs[] = {
#define BUG(name, scene, eager, lazy, races, text) {#name, #scene, #eager, #lazy, #races, text},
#include "bugs.def"
#undef BUG
};

static void play(bug wrong)
{
    const char *name = bugs[wrong].scene;
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        if (wrong == BUG_none || strcmp(name, scenes[i].name) == 0) scenes[i].play(wrong);
    printf("bits %08x, %s\n", (unsigned)bits, values_wrong > 0 ? "WRONG" : "right");
    exit(values_wrong > 0);
}

int main(int argc, char **argv)
{
    const char *wanted = argc == 2 ? argv[1] : "list";
    for (int i = 0; i < BUGS; i++) {
        if (strcmp(wanted, "list") == 0)
            printf("%s %s %s %s %s %s\n", bugs[i].name, bugs[i].scene, bugs[i].eager, bugs[i].lazy, bugs[i].races,
                   bugs[i].text);
        if (strcmp(wanted, bugs[i].name) == 0) play((bug)i);
    }
    return strcmp(wanted, "list") == 0 ? 0 : 2;
}
