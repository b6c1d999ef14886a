/*
 * Gradients of the embedding's tables, without atomics: a block has a few rows of a table and a slice of the columns.
 * It looks through all tokens for those rows, in ascending order, and adds what it finds.
 */
#include "device/cuda/launch.cuh"
#include "device/cuda/pack.cuh"
#include "device/cuda/warp.cuh"

enum { THREADS = 256, WARPS = THREADS / WEFT_WARP, TABLE_ROWS = 8 };

/* Which rows of dout each row of the table gets: those whose index - first is that row's number; index NULL: row % T.
 */
typedef struct embed_rows {
    int64_t rows, T, C, count; /* count: rows of the table */
    const int32_t *index;
    int32_t first;
} embed_rows;

/* Of shared memory: sums (TABLE_ROWS, THREADS), then what the block found in a turn, then counts of its warps. */
typedef struct found_rows {
    float *sums;
    int32_t *row, *place; /* (THREADS) counted from the turn's first row; counted from the block's first */
    int32_t *counts;      /* (WARPS) */
} found_rows;

__device__ static __forceinline__ found_rows split_shared(unsigned char *shared)
{
    found_rows found = {};
    found.sums = (float *)shared;
    found.row = (int32_t *)(found.sums + TABLE_ROWS * THREADS);
    found.place = found.row + THREADS;
    found.counts = found.place + THREADS;
    return found;
}

enum { SHARED = (TABLE_ROWS * THREADS + 2 * THREADS + WARPS) * 4 };

/* Each thread looks at one row; those that the block wants come into the list in ascending order. Returns how many.
 * Between its barriers the list is nobody's: all have read the one before. */
__device__ static __forceinline__ int collect(const embed_rows &of, int64_t row, int64_t begin, const found_rows &found)
{
    const int lane = (int)threadIdx.x % WEFT_WARP, warp = (int)threadIdx.x / WEFT_WARP;
    int64_t place = -1;
    if (row < of.rows) place = (of.index == NULL ? row % of.T : (int64_t)of.index[row] - of.first) - begin;
    const bool wanted = place >= 0 && place < TABLE_ROWS && begin + place < of.count;
    const unsigned votes = __ballot_sync(0xffffffffu, wanted);
    if (lane == 0) found.counts[warp] = __popc(votes);
    __syncthreads();
    int at = __popc(votes & ((1u << lane) - 1u)), total = 0;
    for (int other = 0; other < WARPS; other++) {
        if (other < warp) at += found.counts[other];
        total += found.counts[other];
    }
    if (wanted) {
        found.row[at] = (int32_t)threadIdx.x;
        found.place[at] = (int32_t)place;
    }
    __syncthreads();
    return total;
}

template <class T>
__global__ void __launch_bounds__(THREADS, 4)
    embed_backward_kernel(embed_rows of, const T *dout, bool accumulate, float *table)
{
    extern __shared__ __align__(16) unsigned char weft_shared[];
    const found_rows found = split_shared(weft_shared);
    const int64_t begin = (int64_t)blockIdx.x * TABLE_ROWS, column = (int64_t)blockIdx.y * THREADS + threadIdx.x;
    float *own = found.sums + threadIdx.x; /* of its column; nobody else comes here */
    const bool there = column < of.C;
    for (int i = 0; i < TABLE_ROWS; i++) {
        const bool adds = accumulate && there && begin + i < of.count;
        own[i * THREADS] = adds ? table[(begin + i) * of.C + column] : 0.0f;
    }
    for (int64_t turn = 0; turn < of.rows; turn += THREADS) {
        const int total = collect(of, turn + threadIdx.x, begin, found);
        for (int i = 0; i < total && there; i++)
            own[found.place[i] * THREADS] += weft_widen(dout[(turn + found.row[i]) * of.C + column]);
    }
    for (int i = 0; i < TABLE_ROWS; i++)
        if (there && begin + i < of.count) table[(begin + i) * of.C + column] = own[i * THREADS];
}

static cudaError_t embed_backward(const weft_cuda_call *call, const embed_rows *of, const void *dout, bool accumulate,
                                  float *table)
{
    if (table == NULL) return cudaSuccess;
    const cudaLaunchConfig_t config = weft_cuda_grid(call, weft_cuda_divide_up(of->count, TABLE_ROWS),
                                                     weft_cuda_divide_up(of->C, THREADS), THREADS, SHARED);
    if (call->element == WEFT_FP32)
        return cudaLaunchKernelEx(&config, embed_backward_kernel<float>, *of, (const float *)dout, accumulate, table);
    return cudaLaunchKernelEx(&config, embed_backward_kernel<__nv_bfloat16>, *of, (const __nv_bfloat16 *)dout,
                              accumulate, table);
}

cudaError_t weft_cuda_embed_backward(const weft_cuda_call *call, const weft_embed *embed, const int32_t *tokens,
                                     const int32_t *positions, const void *dout, bool accumulate, float *dwte,
                                     float *dwpe)
{
    const embed_rows by_token = {embed->rows, embed->T, embed->C, embed->V, tokens, embed->first};
    const embed_rows by_position = {embed->rows, embed->T, embed->C, embed->T, positions, 0};
    const cudaError_t error = embed_backward(call, &by_token, dout, accumulate, dwte);
    return error != cudaSuccess ? error : embed_backward(call, &by_position, dout, accumulate, dwpe);
}
