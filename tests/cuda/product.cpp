/*
 * The subset of cuBLASLt: products with fp32 sums, by algorithms that differ in how they cut the inner dimension, so
 * that a program that does not hold on to one has other bits from run to run.
 */
#include "cublasLt.h"

#include "cuda_bf16.h"
#include "parts.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

using namespace emulator;

struct cublasLtContext {
    int gpu;
};

struct emulator_layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t leading;
};

struct emulator_matmul {
    int32_t transposes_a, transposes_b;
    uint32_t epilogue;
    const void *bias;
};

struct emulator_preference {
    uint64_t workspace;
    uint32_t schemes, align_a, align_b, align_c, align_d;
};

namespace emulator
{

static std::unordered_set<const void *> handles;

template <class T> static T *make_handle(const T &value)
{
    T *made = new T(value);
    handles.insert(made);
    product_handles++;
    return made;
}

static void check_handle(const void *handle, const char *caller)
{
    if (handles.count(handle) == 0) misuse("%s is given %p, which is no handle, or was destroyed", caller, handle);
}

template <class T> static cublasStatus_t destroy_handle(T *handle, const char *caller)
{
    const entry guard;
    check_handle(handle, caller);
    handles.erase(handle);
    product_handles--;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

/* Where an attribute lies in its object, and how large it is. */
struct attribute {
    int name;
    size_t at, bytes;
};

template <class T, size_t n>
static cublasStatus_t set_attribute(T *object, const attribute (&known)[n], int name, const void *value, size_t bytes,
                                    const char *caller)
{
    const entry guard;
    check_handle(object, caller);
    for (const attribute &of : known) {
        if (of.name != name) continue;
        if (value == nullptr || bytes != of.bytes) return CUBLAS_STATUS_INVALID_VALUE;
        memcpy((char *)object + of.at, value, bytes);
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

/* ---- what is multiplied ---- */

struct matrix {
    void *at;
    emulator_layout is;
    size_t element(void) const
    {
        return is.type == CUDA_R_32F ? 4 : 2;
    }
    size_t bytes(void) const
    {
        return ((is.columns - 1) * (uint64_t)is.leading + is.rows) * element();
    }
    float get(size_t i, size_t j) const
    {
        const size_t place = j * (size_t)is.leading + i;
        return is.type == CUDA_R_32F ? ((const float *)at)[place] : __bfloat162float(((const nv_bfloat16 *)at)[place]);
    }
    void put(size_t i, size_t j, float value) const
    {
        const size_t place = j * (size_t)is.leading + i;
        if (is.type == CUDA_R_32F) ((float *)at)[place] = value;
        if (is.type == CUDA_R_16BF) ((nv_bfloat16 *)at)[place] = __float2bfloat16_rn(value);
    }
};

struct product {
    emulator_matmul how;
    matrix a, b, c, d;
    float alpha, beta;
    char *workspace;
    size_t workspace_bytes;
    cublasLtMatmulAlgo_t algorithm;
    size_t inner(void) const
    {
        return how.transposes_a == CUBLAS_OP_T ? a.is.rows : a.is.columns;
    }
};

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (const char *)a < (const char *)b + b_bytes && (const char *)b < (const char *)a + a_bytes;
}

static bool is_known(const emulator_layout &of)
{
    return (of.type == CUDA_R_32F || of.type == CUDA_R_16BF) && of.rows > 0 && of.columns > 0 &&
           of.leading >= (int64_t)of.rows;
}

static cublasStatus_t check_product(const product &of)
{
    if (!is_known(of.a.is) || !is_known(of.b.is) || !is_known(of.c.is) || !is_known(of.d.is))
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool ta = of.how.transposes_a == CUBLAS_OP_T, tb = of.how.transposes_b == CUBLAS_OP_T;
    const uint64_t m = ta ? of.a.is.columns : of.a.is.rows, n = tb ? of.b.is.rows : of.b.is.columns;
    const uint64_t inner = tb ? of.b.is.columns : of.b.is.rows;
    if (inner != of.inner() || m != of.d.is.rows || n != of.d.is.columns || m != of.c.is.rows || n != of.c.is.columns)
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool types = of.a.is.type == of.b.is.type && of.c.is.type == of.d.is.type &&
                       (of.a.is.type == CUDA_R_16BF || of.d.is.type == CUDA_R_32F);
    const bool bias = of.how.epilogue == CUBLASLT_EPILOGUE_BIAS;
    if (!types || (!bias && of.how.epilogue != CUBLASLT_EPILOGUE_DEFAULT)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (of.a.is.type == CUDA_R_16BF && setting().capability < 80) return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- algorithms ---- */

enum { ALGORITHM = 0, SPLITS = 1, SCHEME = 2, ALIGN_A = 3, ALIGN_B = 4, ALIGN_C = 5, ALIGN_D = 6 }; /* in data */

static const struct {
    uint64_t splits;
    cublasLtReductionScheme_t scheme;
} algorithms[] = {
    {3, CUBLASLT_REDUCTION_SCHEME_INPLACE}, /* the parts are added as they come */
    {2, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
    {1, CUBLASLT_REDUCTION_SCHEME_NONE},
    {4, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
};

/* Parts in fp32, which are added at the end. */
static size_t workspace_of(const product &of, const cublasLtMatmulAlgo_t &algorithm)
{
    if (algorithm.data[SCHEME] != CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) return 0;
    return algorithm.data[SPLITS] * of.d.is.rows * of.d.is.columns * sizeof(float);
}

/* Which comes first depends on the alignments: where a layout has its operands elsewhere, it has other bits. */
static std::vector<cublasLtMatmulHeuristicResult_t> choices(const product &of, const emulator_preference &preference)
{
    std::vector<cublasLtMatmulHeuristicResult_t> found;
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        cublasLtMatmulHeuristicResult_t choice = {};
        choice.algo = {{i, algorithms[i].splits, algorithms[i].scheme, preference.align_a, preference.align_b,
                        preference.align_c, preference.align_d, 0}};
        choice.workspaceSize = workspace_of(of, choice.algo);
        choice.wavesCount = 1.0f;
        const bool wanted =
            algorithms[i].scheme == CUBLASLT_REDUCTION_SCHEME_NONE || (algorithms[i].scheme & preference.schemes) != 0;
        if (wanted && choice.workspaceSize <= preference.workspace && algorithms[i].splits <= of.inner())
            found.push_back(choice);
    }
    const int turn = __builtin_ctz(preference.align_a) + __builtin_ctz(preference.align_b) +
                     __builtin_ctz(preference.align_c) + __builtin_ctz(preference.align_d);
    if (!found.empty()) std::rotate(found.begin(), found.begin() + turn % (int)found.size(), found.end());
    return found;
}

static const emulator_preference no_preference = {0, CUBLASLT_REDUCTION_SCHEME_MASK, 256, 256, 256, 256};

/* ---- the work ---- */

/* sums (n, m) += the products of inner places begin to end. */
static void multiply(const product &of, size_t begin, size_t end, float *sums)
{
    const bool ta = of.how.transposes_a == CUBLAS_OP_T, tb = of.how.transposes_b == CUBLAS_OP_T;
    const size_t m = of.d.is.rows, n = of.d.is.columns;
    std::vector<float> row(m);
    for (size_t k = begin; k < end; k++) {
        for (size_t i = 0; i < m; i++) row[i] = ta ? of.a.get(k, i) : of.a.get(i, k);
        for (size_t j = 0; j < n; j++) {
            const float by = tb ? of.b.get(j, k) : of.b.get(k, j);
            float *sum = sums + j * m;
            for (size_t i = 0; i < m; i++) sum[i] += row[i] * by;
        }
    }
}

static void add_parts(const product &of, std::vector<float> &sums)
{
    const size_t splits = of.algorithm.data[SPLITS], inner = of.inner(), count = sums.size();
    std::vector<size_t> turns(splits);
    for (size_t part = 0; part < splits; part++) turns[part] = part;
    if (of.algorithm.data[SCHEME] == CUBLASLT_REDUCTION_SCHEME_INPLACE)
        for (size_t i = splits; i > 1; i--) std::swap(turns[i - 1], turns[draw(i)]);
    std::vector<float> part(count);
    for (const size_t turn : turns) {
        std::fill(part.begin(), part.end(), 0.0f);
        multiply(of, inner * turn / splits, inner * (turn + 1) / splits, part.data());
        for (size_t i = 0; i < count; i++) sums[i] += part[i];
    }
}

static void see(const matrix &of, bool writing)
{
    for (size_t j = 0; j < of.is.columns; j++) {
        const char *column = (const char *)of.at + j * (size_t)of.is.leading * of.element();
        if (writing) seen_writing(column, of.is.rows * of.element());
        if (!writing) seen_reading(column, of.is.rows * of.element());
    }
}

static void see_all(const product &of)
{
    see(of.a, false);
    see(of.b, false);
    if (of.beta != 0.0f) see(of.c, false);
    if (of.how.epilogue == CUBLASLT_EPILOGUE_BIAS) seen_reading(of.how.bias, of.d.is.rows * of.d.element());
    see(of.d, true);
    seen_writing(of.workspace, std::min(of.workspace_bytes, std::max(workspace_of(of, of.algorithm), (size_t)PAGE)));
}

static void carry_out(const product &of)
{
    see_all(of);
    const hidden quiet;
    const bool bias = of.how.epilogue == CUBLASLT_EPILOGUE_BIAS;
    const size_t m = of.d.is.rows;
    std::vector<float> sums(m * of.d.is.columns);
    add_parts(of, sums);
    memset(of.workspace, POISON, std::min(of.workspace_bytes, workspace_of(of, of.algorithm)));
    const matrix added = {(void *)of.how.bias, {of.d.is.type, m, 1, (int64_t)m}};
    for (size_t j = 0; j < of.d.is.columns; j++)
        for (size_t i = 0; i < m; i++) {
            float value = of.alpha * sums[j * m + i];
            if (of.beta != 0.0f) value += of.beta * of.c.get(i, j);
            if (bias) value += added.get(i, 0);
            of.d.put(i, j, value);
        }
}

static void check_operand(const char *name, const void *at, size_t bytes, uint64_t alignment, int gpu)
{
    memory_kind kind;
    int owner;
    if (at == nullptr || !reaches(gpu, at) || classify(at, bytes, &kind, &owner) != cudaSuccess)
        misuse("cublasLtMatmul: %s of %zu bytes is not all in memory that GPU %d reaches", name, bytes, gpu);
    if ((uintptr_t)at % alignment != 0)
        misuse("cublasLtMatmul: %s is not at a multiple of %d bytes, as its algorithm was promised", name,
               (int)alignment);
}

static void check_operands(const product &of, int gpu)
{
    check_operand("a", of.a.at, of.a.bytes(), of.algorithm.data[ALIGN_A], gpu);
    check_operand("b", of.b.at, of.b.bytes(), of.algorithm.data[ALIGN_B], gpu);
    if (of.beta != 0.0f) check_operand("c", of.c.at, of.c.bytes(), of.algorithm.data[ALIGN_C], gpu);
    check_operand("d", of.d.at, of.d.bytes(), of.algorithm.data[ALIGN_D], gpu);
    if (of.how.epilogue == CUBLASLT_EPILOGUE_BIAS)
        check_operand("the bias", of.how.bias, of.d.is.rows * of.d.element(), of.d.element(), gpu);
    if (of.workspace_bytes > 0) check_operand("the workspace", of.workspace, of.workspace_bytes, 256, gpu);
    const size_t needs = workspace_of(of, of.algorithm);
    if (of.workspace_bytes < needs)
        misuse("cublasLtMatmul: the algorithm needs a workspace of %zu bytes, not %zu", needs, of.workspace_bytes);
    const bool c_is_d = of.c.at == of.d.at && of.c.is.leading == of.d.is.leading;
    if (overlap(of.a.at, of.a.bytes(), of.d.at, of.d.bytes()) ||
        overlap(of.b.at, of.b.bytes(), of.d.at, of.d.bytes()) ||
        (of.beta != 0.0f && !c_is_d && overlap(of.c.at, of.c.bytes(), of.d.at, of.d.bytes())))
        misuse("cublasLtMatmul: d overlaps what it is made of");
    for (const matrix *with : {&of.a, &of.b, &of.d})
        if (overlap(with->at, with->bytes(), of.workspace, of.workspace_bytes))
            misuse("cublasLtMatmul: the workspace overlaps a matrix");
}

static product product_of(cublasLtMatmulDesc_t how, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                          cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, const char *caller)
{
    for (const void *handle : {(const void *)how, (const void *)a, (const void *)b, (const void *)c, (const void *)d})
        check_handle(handle, caller);
    return {*how, {nullptr, *a}, {nullptr, *b}, {nullptr, *c}, {nullptr, *d}, 1.0f, 0.0f, nullptr, 0, {}};
}

} // namespace emulator

extern "C" cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    const entry guard;
    *out = nullptr;
    if (usable() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = make_handle(cublasLtContext{current_gpu()});
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy_handle(handle, "cublasLtDestroy");
}

static const struct {
    cublasStatus_t status;
    const char *name;
} statuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED"},
};

extern "C" const char *cublasLtGetStatusString(cublasStatus_t status)
{
    for (const auto &known : statuses)
        if (known.status == status) return known.name;
    return "<unknown>";
}

extern "C" cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                                     uint64_t columns, int64_t leading)
{
    const entry guard;
    *out = make_handle(emulator_layout{type, rows, columns, leading});
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy_handle(layout, "cublasLtMatrixLayoutDestroy");
}

#define ATTRIBUTE(name, type, member)                                                                                  \
    {                                                                                                                  \
        name, offsetof(type, member), sizeof(type::member)                                                             \
    }

extern "C" cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                                   cudaDataType_t scale)
{
    const entry guard;
    *out = nullptr;
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *out = make_handle(emulator_matmul{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmul)
{
    return destroy_handle(matmul, "cublasLtMatmulDescDestroy");
}

extern "C" cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmul,
                                                         cublasLtMatmulDescAttributes_t name, const void *value,
                                                         size_t bytes)
{
    static const attribute known[] = {
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSA, emulator_matmul, transposes_a),
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSB, emulator_matmul, transposes_b),
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE, emulator_matmul, epilogue),
        ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, emulator_matmul, bias),
    };
    return set_attribute(matmul, known, name, value, bytes, "cublasLtMatmulDescSetAttribute");
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    const entry guard;
    *out = make_handle(no_preference);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy_handle(preference, "cublasLtMatmulPreferenceDestroy");
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                               cublasLtMatmulPreferenceAttributes_t name,
                                                               const void *value, size_t bytes)
{
    static const attribute known[] = {
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, emulator_preference, workspace),
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, emulator_preference, schemes),
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, emulator_preference, align_a),
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, emulator_preference, align_b),
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, emulator_preference, align_c),
        ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, emulator_preference, align_d),
    };
    return set_attribute(preference, known, name, value, bytes, "cublasLtMatmulPreferenceSetAttribute");
}

extern "C" cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t matmul,
                                                         cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                         cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                         cublasLtMatmulPreference_t preference, int wanted,
                                                         cublasLtMatmulHeuristicResult_t results[], int *out_count)
{
    const entry guard;
    check_handle(handle, "cublasLtMatmulAlgoGetHeuristic");
    check_handle(preference, "cublasLtMatmulAlgoGetHeuristic");
    const product of = product_of(matmul, a, b, c, d, "cublasLtMatmulAlgoGetHeuristic");
    *out_count = 0;
    if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = check_product(of);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const std::vector<cublasLtMatmulHeuristicResult_t> found = choices(of, *preference);
    for (size_t i = 0; i < found.size() && *out_count < wanted; i++) results[(*out_count)++] = found[i];
    return *out_count == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t matmul,
                                                  cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                  cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                  const cublasLtMatmulAlgo_t *algorithm,
                                                  cublasLtMatmulHeuristicResult_t *out)
{
    const entry guard;
    check_handle(handle, "cublasLtMatmulAlgoCheck");
    const product of = product_of(matmul, a, b, c, d, "cublasLtMatmulAlgoCheck");
    const cublasStatus_t status = check_product(of);
    *out = {*algorithm, workspace_of(of, *algorithm), status, 1.0f, {}};
    return status;
}

extern "C" cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t matmul, const void *alpha,
                                         const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                                         cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                                         cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                                         const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes,
                                         cudaStream_t stream)
{
    const entry guard;
    int gpu = 0;
    check_handle(handle, "cublasLtMatmul");
    if (check_stream(&stream, &gpu) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (gpu != current_gpu() || gpu != handle->gpu)
        misuse("cublasLtMatmul: the stream or the handle is of another GPU");
    product of = product_of(matmul, a_layout, b_layout, c_layout, d_layout, "cublasLtMatmul");
    const cublasStatus_t status = check_product(of);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    of.a.at = (void *)a;
    of.b.at = (void *)b;
    of.c.at = (void *)c;
    of.d.at = d;
    memcpy(&of.alpha, alpha, sizeof of.alpha);
    memcpy(&of.beta, beta, sizeof of.beta);
    of.workspace = (char *)workspace;
    of.workspace_bytes = workspace_bytes;
    emulator_preference preference = no_preference;
    preference.workspace = workspace_bytes;
    const std::vector<cublasLtMatmulHeuristicResult_t> any = choices(of, preference);
    of.algorithm = algorithm != nullptr ? *algorithm : any[draw(any.size())].algo; /* the library's own choice */
    check_operands(of, gpu);
    enqueue(stream, {work::product, "cublasLtMatmul", nullptr, reached_by(gpu), [of]() { carry_out(of); }});
    return CUBLAS_STATUS_SUCCESS;
}
