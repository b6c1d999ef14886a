/*
 * A device: a const table of operations on memory, plus allocate, stream, event and copy.
 *
 * An instance is made for one worker, one storage element type and one thread count. "storage" below is that type;
 * fp32 pointers are float *. Matrices are row-major. Operations are enqueued on a stream; a CPU device runs them at
 * once. No operation returns a value: what the host reads it copies out after the step. An operation that fails sets
 * the instance's sticky error, later operations do nothing, weft_device_check reports it. Backward operations on
 * weights overwrite when accumulate is false (first micro-batch of a step) and add when true; they accumulate in fp32;
 * a gradient that is NULL is not computed. Every output is rounded to its element type once. The bits depend on shapes,
 * element type and threads only.
 *
 * Letters: B sequences, T tokens, N = B T rows, C width, H query heads, G key/value heads, D head width, V vocabulary.
 *
 * Owns: an instance owns its streams' resources and primitives; memory from allocate belongs to the caller.
 * Threads: an instance belongs to the thread that created it; another one may copy for it while it makes no call.
 */
#ifndef WEFT_DEVICE_DEVICE_H
#define WEFT_DEVICE_DEVICE_H

#include "base/memory.h"
#include "tensor/element.h"

typedef struct weft_device weft_device;
typedef struct weft_stream weft_stream; /* NULL is the instance's only stream on CPU devices */

typedef enum weft_memory_kind { WEFT_MEMORY_DEVICE, WEFT_MEMORY_PINNED } weft_memory_kind;

typedef enum weft_stream_kind {
    WEFT_STREAM_COMPUTE,
    WEFT_STREAM_TRANSFER, /* messages, gathers, reductions, copies: goes before computation where both could run */
} weft_stream_kind;

/* A point on a stream, made ahead by events_create; what is in it is the device's. */
typedef struct weft_event {
    int64_t nanoseconds;
    void *handle;
} weft_event;

typedef struct weft_embed {
    int64_t rows, T, C, V;
    int32_t first; /* the table holds the tokens first .. first + V - 1 */
} weft_embed;

typedef struct weft_linear {
    int64_t rows, in, out; /* y (rows, out) = x (rows, in) w^T + bias, w (out, in), bias (out) or NULL */
} weft_linear;

typedef struct weft_attention {
    int64_t B, T, H, G, D; /* causal, scale 1/sqrt(D); qkv (B T, (H + 2 G) D): queries, then keys, then values */
    int64_t window;        /* a token sees itself and the window - 1 tokens before it; 0: all before it */
} weft_attention;

typedef enum weft_norm_kind { WEFT_LAYERNORM, WEFT_RMSNORM } weft_norm_kind;
typedef struct weft_norm {
    weft_norm_kind kind;
    int64_t rows, width;
    float epsilon;
    /* A row is a head of a token: a token has so many from element `first` of its `stride` elements on. 0 heads: rows
     * lie one behind the other. */
    int64_t heads, first, stride;
} weft_norm;

/* Where a row of what is normalised begins. */
static inline int64_t weft_norm_at(const weft_norm *norm, int64_t row)
{
    if (norm->heads == 0) return row * norm->width;
    return row / norm->heads * norm->stride + norm->first + row % norm->heads * norm->width;
}

typedef enum weft_activation_kind { WEFT_GELU, WEFT_SWIGLU } weft_activation_kind;
typedef struct weft_activation {
    weft_activation_kind kind; /* GELU by tanh (GPT-2); SWIGLU: out = silu(x[:, :width]) * x[:, width:] */
    int64_t rows, width;       /* of the output; SWIGLU's input is 2 width wide */
} weft_activation;

typedef struct weft_rotary {
    int64_t B, T, heads, D; /* rotates the first `heads` heads of each row; pairs (i, i + D/2) */
    int64_t stride;         /* elements from row to row */
} weft_rotary;

/* The loss of rows of logits. What is trained is the cross entropy; with smoothing (PyTorch's label_smoothing) that
 * share of each target is spread evenly over the vocabulary; with z (PaLM, arXiv 2204.02311, section 5)
 * z log(sum e^logit)^2 is added. */
typedef struct weft_loss {
    int64_t rows, width; /* logits (N, V); V of a slice of the vocabulary is its own */
    int64_t vocabulary;  /* V of all slices */
    int32_t first;       /* token of the first logit of the slice */
    int32_t parts;       /* slices */
    double z, smoothing; /* 0: none */
    bool plain;          /* whether the cross entropy is told beside what is trained */
    int64_t sequence;    /* rows of a sequence, a divisor of N, each of which is told besides; 0: none is */
} weft_loss;

/* fp32 numbers that the loss is told in: the sum of all rows; where plain, that of their cross entropies; and by
 * sequence, the sum of its rows, and how many of them have a target. */
static inline int64_t weft_loss_numbers(const weft_loss *loss)
{
    return 1 + loss->plain + (loss->sequence > 0 ? 2 * (loss->rows / loss->sequence) : 0);
}

/* fp32 numbers that a slice tells of each row. */
static inline int64_t weft_loss_statistics(const weft_loss *loss)
{
    return loss->smoothing > 0 ? 4 : 3;
}

/* Everything that changes from step to step; lives in device memory, written before the step. */
typedef struct weft_step_scalars {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float correction1, correction2; /* 1 - beta^step */
    float clip_norm;                /* 0: no clipping */
    float clip_factor;              /* written by norm_finish; 1 before */
    float loss_gradient_scale;      /* 1 / target tokens of the whole batch */
    int32_t nonfinite;              /* written by norm_finish: 1 when the norm is not finite */
    int32_t skipped;                /* written by judge: 1 when the step is to change nothing; 0 before */
    double norm;                    /* written by norm_finish */
    double targets;                 /* of the whole batch */
    double loss_limit, norm_limit;  /* what judge lets pass; finite */
} weft_step_scalars;

enum { WEFT_NORM_BLOCK = 65536 }; /* elements in one block of the gradient norm; a tensor starts a new block */

/* Work on the host, on begin .. end - 1 of what it is counted in. */
typedef void (*weft_device_work)(void *context, int64_t begin, int64_t end);

typedef struct weft_device_operations {
    void (*destroy)(weft_device *device); /* accepts NULL */

    /* What is in new memory is not known. Released memory is read and written by nothing that was enqueued. */
    weft_status (*allocate)(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error);
    void (*release)(weft_device *device, void *memory);
    /* Free and total bytes of the device's memory. */
    weft_status (*memory)(weft_device *device, size_t *out_free, size_t *out_total, weft_error *error);

    /* What is enqueued on one stream runs in order, on several side by side. CPU devices have one, NULL. */
    weft_status (*stream_create)(weft_device *device, weft_stream_kind kind, weft_stream **out, weft_error *error);
    void (*stream_destroy)(weft_device *device, weft_stream *stream); /* once all that it was given is done */
    /* The host waits until all that the stream was given is done. Brings what failed there. */
    weft_status (*stream_wait)(weft_device *device, weft_stream *stream, weft_error *error);

    /* Events are made before the first step, since recording allocates nothing. An event that was never recorded is
     * reached. */
    weft_status (*events_create)(weft_device *device, int32_t count, weft_event *out, weft_error *error);
    void (*events_destroy)(weft_device *device, int32_t count, weft_event *events);
    void (*event_record)(weft_device *device, weft_stream *stream, weft_event *event);
    /* What is given to the stream from now on waits for the event as it was recorded last. */
    void (*event_wait)(weft_device *device, weft_stream *stream, const weft_event *event);
    bool (*event_done)(weft_device *device, const weft_event *event);
    /* weft_clock_nanoseconds when a done event was reached. */
    int64_t (*event_time)(weft_device *device, const weft_event *event);
    /* The earliest that one which is not done can be reached, as far as the device knows; INT64_MAX: it does not. */
    int64_t (*event_due)(weft_device *device, const weft_event *event);

    /* Enqueued copies. Pinned memory stays untouched by the host until an event recorded behind the copy is done. */
    void (*copy_in)(weft_device *device, weft_stream *stream, void *to, const void *pinned, size_t bytes);
    void (*copy_out)(weft_device *device, weft_stream *stream, void *pinned, const void *from, size_t bytes);
    void (*copy)(weft_device *device, weft_stream *stream, void *to, const void *from,
                 size_t bytes); /* on the device */
    void (*zero)(weft_device *device, weft_stream *stream, void *memory, size_t bytes);
    /* Between device memory and any of the host's, between programs only: they wait for all streams, and are done when
     * they return. */
    weft_status (*write)(weft_device *device, void *to, const void *host, size_t bytes, weft_error *error);
    weft_status (*read)(weft_device *device, void *host, const void *from, size_t bytes, weft_error *error);

    /* Does work on 0 .. count - 1 in parts that begin at multiples of grain, side by side on all threads that the
     * instance has on the host, and returns when all of it is done; it is not enqueued. NULL: the caller does it. */
    void (*divide)(weft_device *device, int64_t count, int64_t grain, weft_device_work work, void *context);

    /* Where instructions take the time they are told and operations none: the stream is busy for so long, from when it
     * is free, but not before `since` (weft_clock_nanoseconds); the next event recorded on it is reached `latency`
     * later than the stream is free. NULL: operations take their own. */
    void (*spend)(weft_device *device, weft_stream *stream, int64_t since, int64_t nanoseconds, int64_t latency);

    /* out (rows, C) = wte[token - first] + wpe[positions[row]]; zeros where the table does not hold the token, so that
     * the sum over all slices of a vocabulary is that of the whole. wte (V, C), wpe (T, C) or NULL; positions (rows),
     * each a row of wpe, or NULL: row % T. */
    void (*embed_forward)(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                          const int32_t *positions, const void *wte, const void *wpe, void *out);
    /* dwte (V, C) of the rows whose token the table holds; dwpe (T, C) of every row, the same on all slices. Rows are
     * added in ascending order. */
    void (*embed_backward)(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                           const int32_t *positions, const void *dout, bool accumulate, float *dwte, float *dwpe);

    /* mean (rows; unused by RMSNORM, may be NULL then) and rstd (rows) are kept for backward. bias may be NULL. */
    void (*norm_forward)(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *x,
                         const void *weight, const void *bias, void *out, float *mean, float *rstd);
    /* dx = residual + gradient through the norm; residual (rows, width) may be NULL and may be dx itself. What lies
     * beside the rows stays as it is. */
    void (*norm_backward_input)(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                const void *x, const void *weight, const float *mean, const float *rstd,
                                const void *residual, void *dx);
    void (*norm_backward_weight)(weft_device *device, weft_stream *stream, const weft_norm *norm, const void *dy,
                                 const void *x, const float *mean, const float *rstd, bool accumulate, float *dweight,
                                 float *dbias);

    /* workspace: at least the kind's linear_workspace bytes. */
    void (*linear_forward)(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *x,
                           const void *w, const void *bias, void *y, void *workspace);
    void (*linear_backward_input)(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *dy,
                                  const void *w, void *dx, void *workspace);
    void (*linear_backward_weight)(weft_device *device, weft_stream *stream, const weft_linear *linear, const void *dy,
                                   const void *x, bool accumulate, float *dw, float *dbias, void *workspace);

    void (*activation_forward)(weft_device *device, weft_stream *stream, const weft_activation *activation,
                               const void *x, void *out);
    void (*activation_backward)(weft_device *device, weft_stream *stream, const weft_activation *activation,
                                const void *x, const void *dy, void *dx);

    /* In place. cosine, sine: (T, D/2). positions (B T), each a row of these, or NULL: row % T. direction +1 forward,
     * -1 backward. */
    void (*rotary)(weft_device *device, weft_stream *stream, const weft_rotary *rotary, const int32_t *positions,
                   const float *cosine, const float *sine, int direction, void *x);

    /* out (B T, H D); logsumexp (B, H, T) is what backward keeps. Never stores T x T. documents (B T): where in its
     * sequence, 0 .. T - 1, the document of each row begins; no row sees another document. Documents follow one
     * another, so that these only rise within a sequence. NULL: each sequence is one. workspace: attention_workspace
     * bytes. */
    void (*attention_forward)(weft_device *device, weft_stream *stream, const weft_attention *attention,
                              const int32_t *documents, const void *qkv, void *out, float *logsumexp, void *workspace);
    void (*attention_backward)(weft_device *device, weft_stream *stream, const weft_attention *attention,
                               const int32_t *documents, const void *qkv, const void *out, const float *logsumexp,
                               const void *dout, void *dqkv, void *workspace);

    /* Attention of new tokens that come behind `past` others of their sequence, whose keys and values lie in a cache
     * (B, T, 2 G D): keys, then values. qkv (B rows, (H + 2 G) D); those of the new tokens go to rows past .. past +
     * rows - 1 of the cache, of which each then sees the ones up to its own within the window. out (B rows, H D).
     * past + rows <= T. workspace: attention_workspace bytes. NULL: the device has no such operation. */
    void (*attention_step)(weft_device *device, weft_stream *stream, const weft_attention *attention, int64_t past,
                           int64_t rows, const void *qkv, void *cache, void *out, void *workspace);

    void (*add)(weft_device *device, weft_stream *stream, int64_t count, const void *a, const void *b,
                void *out); /* storage */
    /* out = ((from[0] + from[1]) + from[2]) + ..., in fp32, rounded once: all of them (count) elements, fp32 or
     * storage. parts >= 1; one is a copy. out may be any of from, which is a host array, read before the call returns.
     */
    void (*sum)(weft_device *device, weft_stream *stream, weft_element element, int64_t count, int32_t parts,
                const void *const *from, void *out);
    void (*round)(weft_device *device, weft_stream *stream, int64_t count, const float *from,
                  void *to); /* to storage */

    /* out (weft_loss_numbers): sums over rows with target >= 0, of the cross entropy -log softmax(logits)[target] or
     * of what is trained, added in double in an order that the shape gives, stored as fp32 (nats). When gradient:
     * logits are replaced by scalars->loss_gradient_scale times the gradient of what is trained (softmax - onehot of
     * the cross entropy), zero for rows with target < 0; else scalars may be NULL. */
    void (*cross_entropy)(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                          const int32_t *targets, const weft_step_scalars *scalars, bool gradient, float *out);
    /* The same where each device has the logits (N, V) of a slice of the vocabulary, the tokens first .. first + V - 1,
     * in two halves. stats (N, weft_loss_statistics): the slice's largest logit, the sum of e^(logit - largest), the
     * target's logit, -INFINITY where the target (a token of the whole vocabulary) is not in the slice, and with
     * smoothing the sum of the logits; zeros where target < 0. */
    void (*loss_part)(weft_device *device, weft_stream *stream, const weft_loss *loss, const void *logits,
                      const int32_t *targets, float *stats);
    /* stats (parts, N, weft_loss_statistics) of all slices, combined in their order; the loss is that of the whole
     * vocabulary, the logits and their gradient are those of the slice. A row that is not finite in any slice gives a
     * loss that is not finite. */
    void (*loss_finish)(weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits,
                        const int32_t *targets, const float *stats, const weft_step_scalars *scalars, bool gradient,
                        float *out);

    /* sums[i] = sum of squares of block i of WEFT_NORM_BLOCK elements, fixed order inside a block. */
    void (*square_sums)(weft_device *device, weft_stream *stream, int64_t count, const float *gradient, double *sums);
    /* to[index[i]] = from[i] for i < blocks: what was gathered from the workers comes into the order of the norm. No
     * index comes twice. */
    void (*place_sums)(weft_device *device, weft_stream *stream, int64_t blocks, const int32_t *index,
                       const double *from, double *to);
    /* Adds the sums in index order; writes norm, nonfinite and clip_factor = min(1, clip_norm / (norm + 1e-6)). */
    void (*norm_finish)(weft_device *device, weft_stream *stream, int64_t blocks, const double *sums,
                        weft_step_scalars *scalars);
    /* After norm_finish. The loss of the step is the sum of (count) losses, one every stride floats, added in ascending
     * order in double, over scalars->targets; writes skipped: 0 when it is finite and at most loss_limit, and the norm
     * at most norm_limit. */
    void (*judge)(weft_device *device, weft_stream *stream, int64_t count, int64_t stride, const float *losses,
                  weft_step_scalars *scalars);
    /* AdamW with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101), PyTorch's order of operations. Reads
     * scalars->clip_factor; does nothing when scalars->nonfinite or skipped. storage (or NULL) gets the rounded new
     * weights. */
    void (*adamw)(weft_device *device, weft_stream *stream, int64_t count, const weft_step_scalars *scalars, bool decay,
                  const float *gradient, float *weight, float *moment1, float *moment2, void *storage);
} weft_device_operations;

/* First member of every device's instance. */
struct weft_device {
    const weft_device_operations *operations;
    weft_element element;
    int32_t threads;
    weft_error error; /* sticky */
    /* Called by the instance's thread after each operation, and inside long ones between their pieces, so that one
     * thread can drive the transport meanwhile. It may run operations of the same instance that need no workspace (add,
     * sum, copy); they do not call it again. NULL: not called. */
    void (*between)(void *context);
    void *between_context;
};

typedef struct weft_device_options {
    weft_element element;
    int32_t threads; /* >= 1 */
    int32_t index;   /* which of the machine's, where a kind has a count; else 0 */
} weft_device_options;

/* A kind of device. workspace functions are pure: what the operations above need at most for these shapes. */
typedef struct weft_device_kind {
    const char *name, *summary;
    bool computes_nothing;  /* it takes the time that it is told: for rehearsals only */
    bool host_reaches;      /* the host may read and write device memory: an operation that returned is done */
    size_t alignment;       /* of every operand, bytes */
    size_t sum_chunk;       /* elements that a sum over workers adds at once: long enough to be worth its message */
    int32_t (*count)(void); /* how many of them this machine has; NULL: there is one, and it has no number */
    double (*room)(int32_t index); /* bytes of memory of one, 0: not known; NULL: it has the machine's */
    weft_status (*create)(const weft_device_options *options, weft_device **out, weft_error *error);
    size_t (*linear_workspace)(const weft_device_options *options, const weft_linear *linear);
    size_t (*attention_workspace)(const weft_device_options *options, const weft_attention *attention);
    /* Best matrix product of this element type on these threads, flop/s, measured in about seconds. NULL: not measured.
     */
    weft_status (*measure_peak)(const weft_device_options *options, double seconds, double *out_flops,
                                weft_error *error);
} weft_device_kind;

/* NULL-terminated table of the kinds in this build: reference, emulated, cpu where oneDNN was found, and cuda where the
 * CUDA toolkit was. */
const weft_device_kind *const *weft_device_kinds(void);
const weft_device_kind *weft_device_kind_find(const char *name); /* or NULL */

/* "KIND" or "KIND:N", as a user names devices; *out_index is -1 where no N is given. An unknown kind, or a number that
 * the kind has not, is WEFT_INVALID. */
weft_status weft_device_parse(const char *text, const weft_device_kind **out, int32_t *out_index,
                              weft_error *error) WEFT_CHECKED;
/* options.index of a worker, by its number on this machine: the one that was named, or with -1 all in turn. */
int32_t weft_device_index(const weft_device_kind *kind, int32_t named, int32_t worker);

/* Bytes of memory that so many workers have together, of devices of their own: `named` is as above, several share one
 * where there are fewer. 0: they have the machine's, or it is not known. */
double weft_device_room(const weft_device_kind *kind, int32_t named, int32_t workers);

/* The operation `divide`, or, where there is none, all of the work on the calling thread. */
void weft_device_divide(weft_device *device, int64_t count, int64_t grain, weft_device_work work, void *context);

/* The sticky error, if any. */
weft_status weft_device_check(const weft_device *device, weft_error *error) WEFT_CHECKED;

#endif
