/* GPUs: how many there are, what they can do, which one a host thread speaks to, and errors. */
#include "parts.h"

#include <cstdio>
#include <cstring>

namespace emulator
{

int64_t product_handles;
static thread_local int chosen;
static thread_local cudaError_t last;
static bool peers[MAX_GPUS][MAX_GPUS];
static cudaError_t gone[MAX_GPUS];

int gpu_count(void)
{
    return setting().gpus;
}

int current_gpu(void)
{
    return chosen;
}

unsigned reached_by(int gpu)
{
    unsigned mask = 1u << gpu;
    for (int peer = 0; peer < gpu_count(); peer++)
        if (peers[gpu][peer]) mask |= 1u << peer;
    return mask;
}

cudaError_t result(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady) last = error;
    return error;
}

cudaError_t lost(int gpu)
{
    return gone[gpu];
}

void lose(int gpu, cudaError_t error)
{
    if (gone[gpu] == cudaSuccess) gone[gpu] = error;
}

static cudaError_t any_gpu(void)
{
    if (!setting().driver) return cudaErrorInsufficientDriver;
    return gpu_count() == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t usable(void)
{
    const cudaError_t error = any_gpu();
    return error != cudaSuccess ? error : gone[chosen];
}

/* Whether the machine has this GPU. */
static cudaError_t check_gpu(int gpu)
{
    const cudaError_t error = any_gpu();
    if (error != cudaSuccess) return error;
    return gpu < 0 || gpu >= gpu_count() ? cudaErrorInvalidDevice : cudaSuccess;
}

struct model {
    int capability;
    size_t shared; /* bytes of a block */
    const char *name;
};

static const model &own_model(void)
{
    static const model models[] = {
        {75, 64 << 10, "emulated sm_75"},    {80, 163 << 10, "emulated sm_80"},     {86, 99 << 10, "emulated sm_86"},
        {90, SHARED_MOST, "emulated sm_90"}, {100, SHARED_MOST, "emulated sm_100"},
    };
    for (const model &known : models)
        if (known.capability == setting().capability) return known;
    misuse("no GPU of this capability");
}

size_t shared_limit(void)
{
    return own_model().shared;
}

#define ERROR(name, text)                                                                                              \
    {                                                                                                                  \
        name, #name, text                                                                                              \
    }

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInitializationError, "initialization error"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    ERROR(cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    ERROR(cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices"),
    ERROR(cudaErrorNvlinkUncorrectable, "uncorrectable NVLink error detected during the execution"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    ERROR(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    ERROR(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
    ERROR(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled"),
    ERROR(cudaErrorAssert, "device-side assert triggered"),
    ERROR(cudaErrorHardwareStackError, "hardware stack error"),
    ERROR(cudaErrorIllegalInstruction, "an illegal instruction was encountered"),
    ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    ERROR(cudaErrorInvalidAddressSpace, "operation not supported on global/shared address space"),
    ERROR(cudaErrorInvalidPc, "invalid program counter"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    ERROR(cudaErrorNotPermitted, "operation not permitted"),
    ERROR(cudaErrorNotSupported, "operation not supported"),
    ERROR(cudaErrorUnknown, "unknown error"),
};

} // namespace emulator

using namespace emulator;

extern "C" cudaError_t cudaDriverGetVersion(int *out)
{
    *out = setting().driver ? CUDART_VERSION : 0;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDeviceCount(int *out)
{
    const entry guard;
    *out = gpu_count();
    return result(any_gpu());
}

extern "C" cudaError_t cudaSetDevice(int device)
{
    const entry guard;
    const cudaError_t error = check_gpu(device);
    if (error == cudaSuccess) chosen = device;
    return result(error != cudaSuccess ? error : gone[device]);
}

extern "C" cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    const entry guard;
    const cudaError_t error = check_gpu(device);
    if (error != cudaSuccess) return result(error);
    const model &own = own_model();
    *out = {};
    snprintf(out->name, sizeof out->name, "%s", own.name);
    out->totalGlobalMem = setting().memory;
    out->major = own.capability / 10;
    out->minor = own.capability % 10;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetStreamPriorityRange(int *out_least, int *out_greatest)
{
    const entry guard;
    *out_least = 0;
    *out_greatest = -5;
    return result(usable());
}

extern "C" cudaError_t cudaDeviceCanAccessPeer(int *out, int device, int peer)
{
    const entry guard;
    cudaError_t error = check_gpu(device);
    if (error == cudaSuccess) error = check_gpu(peer);
    *out = error == cudaSuccess && device != peer && setting().peers;
    return result(error);
}

extern "C" cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
    const entry guard;
    const cudaError_t error = check_gpu(peer);
    if (error != cudaSuccess) return result(error);
    if (flags != 0 || peer == chosen) return result(cudaErrorInvalidValue);
    if (!setting().peers) return result(cudaErrorPeerAccessUnsupported);
    if (peers[chosen][peer]) return result(cudaErrorPeerAccessAlreadyEnabled);
    peers[chosen][peer] = true;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
    const entry guard;
    const cudaError_t error = check_gpu(peer);
    if (error != cudaSuccess) return result(error);
    if (!peers[chosen][peer]) return result(cudaErrorPeerAccessNotEnabled);
    peers[chosen][peer] = false;
    return cudaSuccess;
}

/* An error that a lost GPU keeps on giving stays. */
extern "C" cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last;
    last = cudaSuccess;
    return error;
}

extern "C" const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &known : errors)
        if (known.error == error) return known.name;
    return "unrecognized error code";
}

extern "C" const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &known : errors)
        if (known.error == error) return known.text;
    return "unrecognized error code";
}

extern "C" void emulator_count(emulator_counts *out)
{
    const entry guard;
    *out = {};
    count_memory(out);
    count_streams(out);
    out->handles = product_handles;
}
