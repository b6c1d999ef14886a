/* What every operation begins and ends with, and the error that an instance keeps. */
#include "device/cuda/cuda.h"

const weft_cuda_call *weft_cuda_on(weft_device *device, weft_stream *stream)
{
    if (stream != NULL) return &stream->call;
    for (stream = weft_cuda_of(device)->streams; stream->next != NULL;) stream = stream->next;
    return &stream->call;
}

bool weft_cuda_begins(weft_device *device)
{
    if (device->error.status != WEFT_OK) return false;
    (void)cudaSetDevice(weft_cuda_of(device)->index);
    return true;
}

bool weft_cuda_is_late(cudaError_t error)
{
    static const int late[] = {
        cudaErrorECCUncorrectable,
        cudaErrorNvlinkUncorrectable,
        226, /* cudaErrorContained, of CUDA 12.8: memory of another GPU, or hardware */
        cudaErrorIllegalAddress,
        cudaErrorLaunchTimeout,
        cudaErrorAssert,
        cudaErrorHardwareStackError,
        cudaErrorIllegalInstruction,
        cudaErrorMisalignedAddress,
        cudaErrorInvalidAddressSpace,
        cudaErrorInvalidPc,
        cudaErrorLaunchFailure,
        721, /* cudaErrorTensorMemoryLeak, of CUDA 12.8 */
    };
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++)
        if ((int)error == late[i]) return true;
    return false;
}

void weft_cuda_keep(weft_cuda *cuda, const char *what, cudaError_t error)
{
    if (error == cudaSuccess || cuda->base.error.status != WEFT_OK) return;
    if (weft_cuda_is_late(error) && !cuda->waits) what = NULL;
    const char *advice = what == NULL && !cuda->waits ? "; WEFT_CUDA_SYNC=1 in the environment names it" : "";
    if (error == cudaErrorNoKernelImageForDevice) advice = "; weft was not built for this GPU (gpu_architectures)";
    (void)weft_fail(&cuda->base.error, error == cudaErrorMemoryAllocation ? WEFT_NO_MEMORY : WEFT_FAILED,
                    "device cuda:%d: %s: %s (%s)%s", (int)cuda->index,
                    what != NULL ? what : "an operation that it was given failed", cudaGetErrorString(error),
                    cudaGetErrorName(error), advice);
}

void weft_cuda_ends(weft_device *device, weft_stream *stream, const char *operation, cudaError_t error)
{
    weft_cuda *cuda = weft_cuda_of(device);
    if (error == cudaSuccess && cuda->waits) error = cudaStreamSynchronize(weft_cuda_on(device, stream)->stream);
    weft_cuda_keep(cuda, operation, error);
    if (device->between == NULL || cuda->in_between) return;
    cuda->in_between = true;
    device->between(device->between_context);
    cuda->in_between = false;
}
