/* The kind of device: what it needs, and what it says where that is not there. */
#include "device/cuda/products.h"
#include "device/kinds.h"

#include <stdlib.h>

static int32_t count_gpus(void)
{
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? (int32_t)count : 0;
}

/* Without starting anything on it. */
static double room_of(int32_t index)
{
    struct cudaDeviceProp properties;
    return cudaGetDeviceProperties(&properties, index) == cudaSuccess ? (double)properties.totalGlobalMem : 0.0;
}

static weft_status check_driver(int32_t index, weft_error *error)
{
    int count = 0, driver = 0;
    const cudaError_t said = cudaGetDeviceCount(&count);
    (void)cudaDriverGetVersion(&driver);
    if (said == cudaErrorInsufficientDriver && driver == 0)
        FAIL(error, WEFT_INVALID, "device cuda: this machine has no driver for NVIDIA's GPUs (libcuda.so.1)");
    if (said == cudaErrorInsufficientDriver)
        FAIL(error, WEFT_INVALID, "device cuda: the driver is that of CUDA %d.%d, weft needs %d.%d or newer",
             driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (said == cudaErrorNoDevice || (said == cudaSuccess && count == 0))
        FAIL(error, WEFT_INVALID, "device cuda: this machine has a driver, but no GPU that it shows to this process");
    if (said != cudaSuccess) FAIL(error, WEFT_INVALID, "device cuda: no GPU can be used: %s", cudaGetErrorString(said));
    if (index < 0 || index >= count)
        FAIL(error, WEFT_INVALID, "device cuda:%d: this machine has %d of cuda, numbered from 0", (int)index, count);
    return WEFT_OK;
}

enum { LEAST_CAPABILITY = 75, TENSOR_CAPABILITY = 80 };

/* The compute capability, as one number. */
static weft_status check_gpu(int32_t index, weft_element element, int *out_capability, weft_error *error)
{
    struct cudaDeviceProp properties;
    cudaError_t said = cudaSetDevice(index);
    if (said == cudaSuccess) said = cudaGetDeviceProperties(&properties, index);
    if (said != cudaSuccess)
        FAIL(error, weft_cuda_is_late(said) ? WEFT_FAILED : WEFT_INVALID, "device cuda:%d cannot be used: %s",
             (int)index, cudaGetErrorString(said));
    *out_capability = 10 * properties.major + properties.minor;
    if (*out_capability < LEAST_CAPABILITY)
        FAIL(error, WEFT_INVALID, "device cuda:%d, %s, is too old: it has compute capability %d.%d, weft needs %d.%d",
             (int)index, properties.name, properties.major, properties.minor, LEAST_CAPABILITY / 10,
             LEAST_CAPABILITY % 10);
    if (element == WEFT_BF16 && *out_capability < TENSOR_CAPABILITY)
        FAIL(error, WEFT_INVALID,
             "device cuda:%d, %s, has no bf16: it has compute capability %d.%d, bf16 needs %d.%d; set element=fp32",
             (int)index, properties.name, properties.major, properties.minor, TENSOR_CAPABILITY / 10,
             TENSOR_CAPABILITY % 10);
    return WEFT_OK;
}

static bool asked_to_wait(void)
{
    const char *text = getenv("WEFT_CUDA_SYNC");
    return text != NULL && text[0] != '\0' && text[0] != '0';
}

/* Its first stream is the one that NULL means. */
static weft_status fill(weft_cuda *cuda, weft_error *error)
{
    weft_stream *own = NULL;
    TRY(weft_allocate((size_t)count_gpus(), sizeof *cuda->peers, &cuda->peers, error));
    TRY(weft_cuda_products_create(cuda->index, cuda->base.element, &cuda->products, error));
    TRY(weft_cuda_stream_create(&cuda->base, WEFT_STREAM_COMPUTE, &own, error));
    cudaError_t said = cudaEventCreateWithFlags(&cuda->origin, cudaEventDefault);
    if (said == cudaSuccess) said = weft_cuda_set_origin(cuda);
    weft_cuda_keep(cuda, "its start", said);
    return weft_device_check(&cuda->base, error);
}

static weft_status create(const weft_device_options *options, weft_device **out, weft_error *error)
{
    int capability = 0;
    weft_cuda *cuda = NULL;
    *out = NULL;
    if (options->threads < 1)
        FAIL(error, WEFT_INVALID, "device cuda: threads is %d, must be at least 1", (int)options->threads);
    TRY(check_driver(options->index, error));
    TRY(check_gpu(options->index, options->element, &capability, error));
    TRY(weft_allocate(1, sizeof *cuda, &cuda, error));
    cuda->base =
        (weft_device){.operations = &weft_cuda_operations, .element = options->element, .threads = options->threads};
    cuda->index = options->index;
    cuda->waits = asked_to_wait();
    cuda->tensor_cores = options->element == WEFT_BF16 && capability >= TENSOR_CAPABILITY;
    const weft_status status = fill(cuda, error);
    if (status != WEFT_OK) {
        weft_cuda_operations.destroy(&cuda->base);
        return status;
    }
    *out = &cuda->base;
    return WEFT_OK;
}

/* A chunk of a sum is a piece of a staged transfer, 1 MiB. */
const weft_device_kind weft_device_cuda = {
    .name = "cuda",
    .summary = "NVIDIA's GPUs: products by cuBLASLt, own kernels for the rest",
    .peer_copies = true,
    .alignment = 256,
    .sum_chunk = (size_t)1 << 18,
    .count = count_gpus,
    .room = room_of,
    .create = create,
    .linear_workspace = weft_cuda_linear_workspace,
    .attention_workspace = weft_cuda_attention_workspace,
    .measure_peak = weft_cuda_measure_peak,
};
