#include "device/cuda/products.h"

#include "device/cuda/library.h"

enum { MOST_WORKSPACE = 32 << 20, LEAST_WORKSPACE = 1 << 16, MOST_ALIGNMENT = 256, PROPOSALS = 8 };

/* Column-major d (m, n) = op(a) op(b), op(a) (m, k), op(b) (k, n), each operand as dense as it can be. */
typedef struct product_shape {
    int64_t m, n, k;
    int32_t transpose_a, transpose_b, bias, fp32_out;
    uint32_t alignment[3]; /* of a, b and d: what divides their addresses and columns, bytes */
    uint32_t unused;       /* so that shapes are compared as bytes */
} product_shape;

typedef struct product {
    product_shape shape;
    size_t workspace; /* at most */
    cublasLtMatmulDesc_t matmul;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algorithm;
} product;

struct weft_cuda_products {
    weft_cuda_library library;
    cublasLtHandle_t handle;
    cublasLtMatmulPreference_t preference;
    weft_element element;
    product *table;
    size_t count, capacity;
};

static cudaDataType_t type_of(weft_element element)
{
    return element == WEFT_FP32 ? CUDA_R_32F : CUDA_R_16BF;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Room for four parts of the largest result, which a product may be divided into, within bounds. */
static size_t product_workspace(const weft_linear *linear)
{
    const size_t rows = (size_t)linear->rows, in = (size_t)linear->in, out = (size_t)linear->out;
    size_t bytes = 4 * sizeof(float) * larger(rows * larger(in, out), in * out);
    bytes = bytes < MOST_WORKSPACE ? bytes : MOST_WORKSPACE;
    return weft_align(larger(bytes, LEAST_WORKSPACE), MOST_ALIGNMENT);
}

size_t weft_cuda_linear_workspace(const weft_device_options *options, const weft_linear *linear)
{
    (void)options;
    return larger(product_workspace(linear), weft_align(weft_cuda_column_bytes(linear->out), MOST_ALIGNMENT));
}

void weft_cuda_products_destroy(weft_cuda_products *products)
{
    if (products == NULL) return;
    const weft_cuda_library *library = &products->library;
    for (size_t i = 0; i < products->count; i++) {
        const product *each = &products->table[i];
        if (each->matmul) (void)library->cublasLtMatmulDescDestroy(each->matmul);
        if (each->a) (void)library->cublasLtMatrixLayoutDestroy(each->a);
        if (each->b) (void)library->cublasLtMatrixLayoutDestroy(each->b);
        if (each->d) (void)library->cublasLtMatrixLayoutDestroy(each->d);
    }
    if (products->preference) (void)library->cublasLtMatmulPreferenceDestroy(products->preference);
    if (products->handle) (void)library->cublasLtDestroy(products->handle);
    weft_free(products->table);
    weft_free(products);
}

weft_status weft_cuda_products_create(int32_t index, weft_element element, weft_cuda_products **out, weft_error *error)
{
    *out = NULL;
    weft_cuda_products *products = NULL;
    TRY(weft_allocate(1, sizeof *products, &products, error));
    products->element = element;
    weft_status status = weft_cuda_library_open(&products->library, error);
    if (status == WEFT_OK) {
        cublasStatus_t said = products->library.cublasLtCreate(&products->handle);
        if (said == CUBLAS_STATUS_SUCCESS)
            said = products->library.cublasLtMatmulPreferenceCreate(&products->preference);
        if (said != CUBLAS_STATUS_SUCCESS)
            status = weft_fail(error, WEFT_FAILED, "device cuda:%d: cuBLASLt does not start: %s", (int)index,
                               products->library.cublasLtGetStatusString(said));
    }
    if (status != WEFT_OK) {
        weft_cuda_products_destroy(products);
        return status;
    }
    *out = products;
    return WEFT_OK;
}

static cublasStatus_t prefer(const weft_cuda_products *products, cublasLtMatmulPreferenceAttributes_t attribute,
                             uint32_t value)
{
    return products->library.cublasLtMatmulPreferenceSetAttribute(products->preference, attribute, &value,
                                                                  sizeof value);
}

static cublasStatus_t set_preferences(const weft_cuda_products *products, const product *own)
{
    const uint64_t bytes = own->workspace;
    const uint32_t *alignment = own->shape.alignment;
    cublasStatus_t said = products->library.cublasLtMatmulPreferenceSetAttribute(
        products->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t value;
    } settings[] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment[0]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment[1]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment[2]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment[2]},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings && said == CUBLAS_STATUS_SUCCESS; i++)
        said = prefer(products, settings[i].attribute, settings[i].value);
    return said;
}

static cublasStatus_t describe_operation(const weft_cuda_library *library, product *own)
{
    const product_shape *shape = &own->shape;
    const int32_t a = shape->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                  b = shape->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int32_t epilogue = shape->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cublasStatus_t said = library->cublasLtMatmulDescCreate(&own->matmul, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatmulDescSetAttribute(own->matmul, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatmulDescSetAttribute(own->matmul, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatmulDescSetAttribute(own->matmul, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                       sizeof epilogue);
    return said;
}

static cublasStatus_t describe_operands(const weft_cuda_library *library, weft_element element, product *own)
{
    const product_shape *shape = &own->shape;
    const uint64_t m = (uint64_t)shape->m, n = (uint64_t)shape->n, k = (uint64_t)shape->k;
    const uint64_t a = shape->transpose_a ? k : m, b = shape->transpose_b ? n : k;
    const cudaDataType_t type = type_of(element);
    cublasStatus_t said = library->cublasLtMatrixLayoutCreate(&own->a, type, a, shape->transpose_a ? m : k, (int64_t)a);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatrixLayoutCreate(&own->b, type, b, shape->transpose_b ? k : n, (int64_t)b);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatrixLayoutCreate(&own->d, shape->fp32_out ? CUDA_R_32F : type, m, n, (int64_t)m);
    return said;
}

/* The first proposal that the library itself finds fit. */
static cublasStatus_t choose(const weft_cuda_products *products, product *own)
{
    const weft_cuda_library *library = &products->library;
    cublasLtMatmulHeuristicResult_t proposals[PROPOSALS], checked;
    int count = 0;
    cublasStatus_t said =
        library->cublasLtMatmulAlgoGetHeuristic(products->handle, own->matmul, own->a, own->b, own->d, own->d,
                                                products->preference, PROPOSALS, proposals, &count);
    if (said != CUBLAS_STATUS_SUCCESS) return said;
    for (int i = 0; i < count; i++) {
        if (proposals[i].state != CUBLAS_STATUS_SUCCESS) continue;
        said = library->cublasLtMatmulAlgoCheck(products->handle, own->matmul, own->a, own->b, own->d, own->d,
                                                &proposals[i].algo, &checked);
        if (said != CUBLAS_STATUS_SUCCESS || checked.workspaceSize > own->workspace) continue;
        own->algorithm = proposals[i].algo;
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

/* NULL once the instance has failed. */
static const product *find(weft_cuda *cuda, const product_shape *shape, size_t workspace)
{
    weft_cuda_products *products = cuda->products;
    for (size_t i = 0; i < products->count; i++)
        if (memcmp(&products->table[i].shape, shape, sizeof *shape) == 0) return &products->table[i];
    if (weft_grow(&products->table, &products->capacity, products->count + 1, sizeof *products->table,
                  &cuda->base.error) != WEFT_OK)
        return NULL;
    product *own = &products->table[products->count++];
    *own = (product){.shape = *shape, .workspace = workspace};
    cublasStatus_t said = describe_operation(&products->library, own);
    if (said == CUBLAS_STATUS_SUCCESS) said = describe_operands(&products->library, products->element, own);
    if (said == CUBLAS_STATUS_SUCCESS) said = set_preferences(products, own);
    if (said == CUBLAS_STATUS_SUCCESS) said = choose(products, own);
    if (said == CUBLAS_STATUS_SUCCESS) return own;
    (void)weft_fail(&cuda->base.error, WEFT_FAILED, "device cuda:%d: cuBLASLt has no product of %lld x %lld x %lld: %s",
                    (int)cuda->index, (long long)shape->m, (long long)shape->n, (long long)shape->k,
                    products->library.cublasLtGetStatusString(said));
    return NULL;
}

typedef struct product_operands {
    const void *a, *b, *bias;
    void *d, *workspace;
} product_operands;

/* What divides an address and the bytes from column to column. */
static uint32_t alignment_of(const void *memory, int64_t column)
{
    const uint64_t both = (uint64_t)(uintptr_t)memory | (uint64_t)column | MOST_ALIGNMENT;
    return (uint32_t)(both & (~both + 1));
}

static void align_shape(weft_element element, const product_operands *of, product_shape *shape)
{
    const int64_t bytes = (int64_t)weft_element_bytes(element);
    shape->alignment[0] = alignment_of(of->a, bytes * (shape->transpose_a ? shape->k : shape->m));
    shape->alignment[1] = alignment_of(of->b, bytes * (shape->transpose_b ? shape->n : shape->k));
    shape->alignment[2] = alignment_of(of->d, (shape->fp32_out ? 4 : bytes) * shape->m);
}

static void multiply(weft_cuda *cuda, weft_stream *stream, const weft_linear *linear, product_shape shape,
                     const product_operands *of, bool accumulate)
{
    const float one = 1.0f, beta = accumulate ? 1.0f : 0.0f;
    align_shape(cuda->base.element, of, &shape);
    const product *own = find(cuda, &shape, product_workspace(linear));
    if (own == NULL) return;
    const weft_cuda_library *library = &cuda->products->library;
    cublasStatus_t said = CUBLAS_STATUS_SUCCESS;
    if (shape.bias)
        said = library->cublasLtMatmulDescSetAttribute(own->matmul, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &of->bias,
                                                       sizeof of->bias);
    if (said == CUBLAS_STATUS_SUCCESS)
        said = library->cublasLtMatmul(cuda->products->handle, own->matmul, &one, of->a, own->a, of->b, own->b, &beta,
                                       of->d, own->d, of->d, own->d, &own->algorithm, of->workspace, own->workspace,
                                       weft_cuda_on(&cuda->base, stream)->stream);
    if (said == CUBLAS_STATUS_SUCCESS) return;
    const cudaError_t lost = cudaEventQuery(cuda->origin); /* then it is not the product that failed */
    if (lost != cudaErrorNotReady) weft_cuda_keep(cuda, NULL, lost);
    if (cuda->base.error.status != WEFT_OK) return;
    (void)weft_fail(&cuda->base.error, WEFT_FAILED,
                    "device cuda:%d: cuBLASLt failed in a matrix product of %lld x %lld x %lld: %s", (int)cuda->index,
                    (long long)shape.m, (long long)shape.n, (long long)shape.k, library->cublasLtGetStatusString(said));
}

/* Row-major y (rows, out) is column-major (out, rows); so for all operands. */
void weft_cuda_linear_forward(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                              const void *w, const void *bias, void *y, void *workspace)
{
    if (!weft_cuda_begins(device)) return;
    const product_shape shape = {
        .m = linear->out, .n = linear->rows, .k = linear->in, .transpose_a = 1, .bias = bias != NULL};
    const product_operands operands = {.a = w, .b = x, .bias = bias, .d = y, .workspace = workspace};
    multiply(weft_cuda_of(device), stream, linear, shape, &operands, false);
    weft_cuda_ends(device, stream, "linear_forward", cudaSuccess);
}

void weft_cuda_linear_backward_input(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                     const void *dy, const void *w, void *dx, void *workspace)
{
    if (!weft_cuda_begins(device)) return;
    const product_shape shape = {.m = linear->in, .n = linear->rows, .k = linear->out};
    const product_operands operands = {.a = w, .b = dy, .d = dx, .workspace = workspace};
    multiply(weft_cuda_of(device), stream, linear, shape, &operands, false);
    weft_cuda_ends(device, stream, "linear_backward_input", cudaSuccess);
}

void weft_cuda_linear_backward_weight(weft_device *device, weft_stream *stream, const weft_linear *linear,
                                      const void *dy, const void *x, bool accumulate, float *dw, float *dbias,
                                      void *workspace)
{
    if (!weft_cuda_begins(device)) return;
    const product_shape shape = {.m = linear->in, .n = linear->out, .k = linear->rows, .transpose_b = 1, .fp32_out = 1};
    const product_operands operands = {.a = x, .b = dy, .d = dw, .workspace = workspace};
    cudaError_t error = cudaSuccess;
    if (dw != NULL) multiply(weft_cuda_of(device), stream, linear, shape, &operands, accumulate);
    if (dbias != NULL)
        error = weft_cuda_column_sums(weft_cuda_on(device, stream), linear->rows, linear->out, dy, accumulate,
                                      workspace, dbias);
    weft_cuda_ends(device, stream, "linear_backward_weight", error);
}
