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

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported",
     "peer access is not supported between these two devices"},
    {cudaErrorNvlinkUncorrectable, "cudaErrorNvlinkUncorrectable",
     "uncorrectable NVLink error detected during the execution"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled", "peer access is already enabled"},
    {cudaErrorPeerAccessNotEnabled, "cudaErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    {cudaErrorHardwareStackError, "cudaErrorHardwareStackError", "hardware stack error"},
    {cudaErrorIllegalInstruction, "cudaErrorIllegalInstruction", "an illegal instruction was encountered"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
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
