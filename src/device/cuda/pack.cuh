/* 16 bytes of storage as floats: what a thread reads and writes at a time. */
#ifndef WEFT_DEVICE_CUDA_PACK_CUH
#define WEFT_DEVICE_CUDA_PACK_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

__device__ static __forceinline__ float weft_widen(float value)
{
    return value;
}

__device__ static __forceinline__ float weft_widen(__nv_bfloat16 value)
{
    return __bfloat162float(value);
}

template <class T> __device__ static __forceinline__ T weft_narrow(float value);

template <> __device__ __forceinline__ float weft_narrow<float>(float value)
{
    return value;
}

template <> __device__ __forceinline__ __nv_bfloat16 weft_narrow<__nv_bfloat16>(float value)
{
    return __float2bfloat16_rn(value);
}

template <class T> struct weft_pack {
    enum { N = 16 / sizeof(T) };
    float v[N];
};

template <class T> struct alignas(16) weft_pack_storage {
    T v[weft_pack<T>::N];
};

/* The first min(left, N) elements, zeros for the rest. wide: `from` is aligned to 16 bytes wherever all N are there. */
template <class T> __device__ static __forceinline__ weft_pack<T> weft_load(const T *from, int64_t left, bool wide)
{
    weft_pack<T> pack;
    if (wide && left >= weft_pack<T>::N) {
        const weft_pack_storage<T> stored = *(const weft_pack_storage<T> *)from;
        for (int i = 0; i < weft_pack<T>::N; i++) pack.v[i] = weft_widen(stored.v[i]);
    } else {
        for (int i = 0; i < weft_pack<T>::N; i++) pack.v[i] = i < left ? weft_widen(from[i]) : 0.0f;
    }
    return pack;
}

template <class T>
__device__ static __forceinline__ void weft_store(const weft_pack<T> &pack, T *to, int64_t left, bool wide)
{
    if (wide && left >= weft_pack<T>::N) {
        weft_pack_storage<T> stored;
        for (int i = 0; i < weft_pack<T>::N; i++) stored.v[i] = weft_narrow<T>(pack.v[i]);
        *(weft_pack_storage<T> *)to = stored;
    } else {
        for (int i = 0; i < weft_pack<T>::N; i++)
            if (i < left) to[i] = weft_narrow<T>(pack.v[i]);
    }
}

#endif
