/*
 * Tensor cores and asynchronous copies, the only PTX in weft: sm_80 and later. It lies in a folder of its own, so that
 * the tests put their emulation of the same functions (tests/cuda/include) in its place by the include path.
 *
 * All lanes of a warp call mma_bf16 and ldmatrix together. l: a lane.
 */
#ifndef WEFT_DEVICE_CUDA_TENSOR_CORES_CUH
#define WEFT_DEVICE_CUDA_TENSOR_CORES_CUH

#include <cuda_runtime.h>
#include <stdint.h>

/* d (16, 8) += a (16, 16) b (16, 8), bf16 with fp32 sums. Two bf16 a register, the lower first. Lane l has of a rows
 * l/4 (a[0], a[2]) and l/4 + 8 (a[1], a[3]), columns 2 (l%4) + {0, 1} and, in a[2] and a[3], 8 more; of b those rows
 * of column l/4 (b[1]: 8 more); of d rows l/4 (d[0], d[1]) and l/4 + 8, columns 2 (l%4) + {0, 1}. */
__device__ static __forceinline__ void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Matrices (8, 8) of 16-bit elements from shared memory: lane l points to row l%8 of matrix l/8, 16 bytes on a boundary
 * of 16, and gets elements 2 (l%4) + {0, 1} of row l/4 of matrix m in out[m]; transposed (_trans): of column l/4, rows
 * 2 (l%4) + {0, 1}. */
__device__ static __forceinline__ void ldmatrix_x4(uint32_t out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}
__device__ static __forceinline__ void ldmatrix_x4_trans(uint32_t out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* 16 bytes from global to shared memory, both on a boundary of 16. They are there for this thread once it waited for
 * their group, and for others after a barrier behind that. Zeros where filled is false; global is not read then, but
 * must be an address of global memory. */
__device__ static __forceinline__ void copy_async_16_if(bool filled, void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"((uint32_t)__cvta_generic_to_shared(shared)), "l"(__cvta_generic_to_global(global)),
                   "r"(filled ? 16 : 0)
                 : "memory");
}
/* What this thread gave since the last call is a group. */
__device__ static __forceinline__ void copy_async_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Until at most the last `groups` groups are under way. */
template <int groups> __device__ static __forceinline__ void copy_async_wait(void)
{
    asm volatile("cp.async.wait_group %0;" : : "n"(groups) : "memory");
}

#endif
