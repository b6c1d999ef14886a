/*
 * A decoder-only transformer: GPT-2, Llama and their kin by configuration. Parameters in one global order, and stages
 * (runs of consecutive layers) that run forward and backward on a device.
 *
 * Layer l: x = x + attention(norm1(x)); x = x + mlp(norm2(x)). Embedding in the first stage; final norm, head and loss
 * in the last. Letters as in device/device.h; L layers, F feed-forward width.
 *
 * Threads: a stage belongs to the thread of its device.
 */
#ifndef WEFT_MODEL_MODEL_H
#define WEFT_MODEL_MODEL_H

#include "config/config.h"
#include "device/device.h"
#include "program/program.h"

/* One of the tensor-parallel workers that divide every layer: attention by heads, the feed-forward net by its inner
 * width, embedding and head by the vocabulary (Megatron-LM, arXiv 1909.08053), and between them norms and sums by rows
 * of the micro-batch (sequence parallelism, arXiv 2205.05198). Width 0 or 1: not divided. */
typedef struct weft_slice {
    int32_t index, width;
} weft_slice;

/* WEFT_INVALID with the reason when so many workers cannot divide the model, or the rows of a micro-batch. */
weft_status weft_slice_check(const weft_model_config *model, int64_t rows, int32_t width,
                             weft_error *error) WEFT_CHECKED;

/* Rows of the vocabulary that come before a slice, and how many it has. */
int64_t weft_slice_vocabulary(const weft_model_config *model, weft_slice slice, int64_t *out_count);

/* What each tensor-parallel worker has of a parameter. */
typedef enum weft_split {
    WEFT_SPLIT_NONE,   /* all of it, and computes its whole gradient */
    WEFT_SPLIT_SUMMED, /* all of it, and computes its rows' part of the gradient */
    WEFT_SPLIT_ROWS,   /* its share of the rows of each band; where they do not divide evenly, some have one more */
    WEFT_SPLIT_COLUMNS,
} weft_split;

static inline bool weft_split_divides(weft_split split)
{
    return split == WEFT_SPLIT_ROWS || split == WEFT_SPLIT_COLUMNS;
}

enum { WEFT_BANDS = 3, WEFT_PIECES = 3 };

/* A piece of a whole tensor (R, W): rows runs of columns elements, each W further than the one before; from: the first
 * element. One worker has it packed from its own element `at` on. A single run may go over several rows. */
typedef struct weft_piece {
    int64_t at, from, rows, columns;
} weft_piece;

typedef enum weft_init_kind { WEFT_INIT_NORMAL, WEFT_INIT_ZEROS, WEFT_INIT_ONES } weft_init_kind;

typedef struct weft_parameter {
    char name[64]; /* "embedding.token", "layer.3.attention.qkv.weight", "final_norm.weight", "head.weight" */
    int32_t layer; /* -1 embedding, 0 .. L-1, L: final norm and head */
    int32_t dimensions;
    int64_t shape[2];
    int64_t elements;
    weft_split split;
    int32_t width;             /* tensor-parallel workers */
    int64_t bands[WEFT_BANDS]; /* rows that are divided by themselves: queries, keys, values; gate, up; else all */
    int64_t own; /* elements of one tensor-parallel worker, the same for all; those beyond the tensor are zero */
    bool decay;  /* false for norms and biases */
    bool tied;   /* head.weight of a tied model: the same numbers as embedding.token, a gradient of its own */
    weft_init_kind init;
    double deviation;
} weft_parameter;

/* All parameters in global order as so many tensor-parallel workers divide them, taken from the arena; a tied model
 * lists head.weight last with tied = true. WEFT_INVALID as weft_slice_check. */
weft_status weft_model_parameters(const weft_model_config *model, int32_t width, weft_arena *arena,
                                  const weft_parameter **out, int32_t *out_count, weft_error *error) WEFT_CHECKED;

/* The parameter at this place of the global order, undivided, without a list of the others: false behind the last. The
 * model is one that weft_model_parameters takes. */
bool weft_model_parameter(const weft_model_config *model, int64_t index, weft_parameter *out);

enum { WEFT_PATTERN_BYTES = 128 }; /* of a pattern with its end; a longer one fits no name */

/* Whether a name fits one of the patterns (fnmatch), which are separated by blanks. */
bool weft_parameter_fits(const char *name, const char *patterns);

/* Own elements from .. to - 1 of slice index at the start of training: a function of seed, name (a tied head: that of
 * embedding.token) and place in the whole tensor. */
void weft_parameter_init(const weft_parameter *parameter, int32_t index, uint64_t seed, int64_t from, int64_t to,
                         float *out);

/* Matrix-product flops of one token's forward and backward: 6 per weight without the embedding look-up, plus causal
 * attention (6 L T H D: half of the full score and value products, forward and twice backward; of a window its band).
 */
double weft_model_flops_per_token(const weft_model_config *model, int64_t tokens);

/* Flops of one micro-batch of N = B T rows: forward, input gradient and weight gradient, for the splitter and dry run.
 */
typedef struct weft_flops {
    double forward, backward_input, backward_weight;
} weft_flops;
weft_flops weft_layer_flops(const weft_model_config *model, int64_t B, int64_t T);
weft_flops weft_head_flops(const weft_model_config *model, int64_t B, int64_t T);

/* Where slice `index` has its own elements from .. to - 1 in the whole tensor, ascending by `at`; what lies beyond the
 * tensor is left out. Returns how many pieces. */
int32_t weft_parameter_pieces(const weft_parameter *parameter, int32_t index, int64_t from, int64_t to,
                              weft_piece out[WEFT_PIECES]);

/* Bytes of workspace of a device: the most that one operation of a layer needs, and one of the head. */
typedef struct weft_stage_space {
    bool known;
    size_t layer, head;
} weft_stage_space;

/* What a last stage makes of its logits in passes that train (device/device.h); others tell the cross entropy. */
typedef struct weft_stage_loss {
    double z, smoothing;
    bool by_sequence; /* the loss of each sequence is told, too */
} weft_stage_loss;

/* What a stage computes. */
typedef struct weft_stage_shape {
    const weft_model_config *model; /* borrowed */
    weft_slice slice;
    int32_t first_layer, layer_count;
    bool embedding, head; /* this is the first, the last stage */
    int64_t B, T;
    /* Above 0: forward passes go on in sequences of up to so many tokens, T of each at a time, and keep keys and values
     * of all of them in a cache (weft_stage_cache_bytes). Only without backward passes. */
    int64_t cache;
    bool recompute;    /* keep only each layer's input (and the head's); compute the rest again in the backward pass */
    bool forward_only; /* nothing is kept */
    weft_stage_loss loss;
    const weft_device_kind *device;
    weft_device_options options;
    weft_stage_space space; /* not known: the device is asked wherever it is wanted */
} weft_stage_shape;

/* Asks the device, once for all stages that differ in layers, embedding, head and what is kept alone: some devices take
 * a millisecond for each product. */
weft_stage_space weft_stage_space_ask(const weft_stage_shape *shape);

/* Rows of a micro-batch that one tensor-parallel worker has between blocks, and that cross a stage boundary. */
int64_t weft_stage_rows(const weft_stage_shape *shape);

/* Bytes, multiples of the device's alignment, the same for all slices. stash and work are slots; workspace is shared by
 * all stages of a worker. input: 0 for the first stage. */
typedef struct weft_stage_bytes {
    size_t input, stash, work, workspace;
} weft_stage_bytes;
weft_stage_bytes weft_stage_memory(const weft_stage_shape *shape);

/* fp32 numbers that a micro-batch's loss is told in, as weft_loss_numbers; the same in passes that train and others. */
int64_t weft_stage_losses(const weft_stage_shape *shape);

/* Bytes of the cache of a stage that has one; 0 for others. */
size_t weft_stage_cache_bytes(const weft_stage_shape *shape);

typedef struct weft_stage weft_stage;

/* How tensor-parallel workers pass values between them in the middle of a pass: each calls the same functions in the
 * same order. Like operations of a device they are ordered on the stream and leave errors in the device. */
typedef struct weft_stage_exchange {
    void *context;
    /* whole: the parts of all workers, of so many bytes each, in order. */
    void (*gather)(void *context, weft_stream *stream, const void *part, size_t bytes, void *whole);
    /* part: this worker's part, of count storage elements, of the sum of the workers' whole (parts, count), added in
     * order in fp32 and rounded once. */
    void (*reduce)(void *context, weft_stream *stream, const void *whole, size_t count, void *part);
} weft_stage_exchange;

/* How often, and how many bytes of others each worker gets, in each kind of pass. frozen: (stage parameters) those
 * without gradients; NULL: none. */
void weft_stage_exchanges(const weft_stage_shape *shape, const bool *frozen, weft_exchanges out[WEFT_PASS_KINDS]);

/* The angles by which layers with rotary positions turn queries and keys, for all stages of a worker: cosines (T, D/2),
 * then sines; T the cache where there is one. Bytes, 0 without such positions; and the values, into device memory,
 * before the steps. */
size_t weft_stage_angle_bytes(const weft_stage_shape *shape);
weft_status weft_stage_angles_write(const weft_stage_shape *shape, weft_device *device, float *to,
                                    weft_error *error) WEFT_CHECKED;

/* Weights and gradients of a stage's parameters, in global order: (stage parameters). storage is what the kernels read:
 * equal to the fp32 master where the element is fp32. A gradient that is NULL is not computed. Borrowed; the arrays
 * must outlive the stage. */
typedef struct weft_stage_weights {
    const void *const *storage;
    float *const *gradient;              /* NULL in forward-only runs */
    const weft_stage_exchange *exchange; /* NULL: not divided */
    const float *angles;                 /* weft_stage_angles_write; NULL: the stage makes its own if it needs them */
} weft_stage_weights;

/* Index range of a stage's parameters in the global order: embedding, its layers, final norm and head. */
void weft_stage_parameters(const weft_stage_shape *shape, const weft_parameter *parameters, int32_t count,
                           int32_t *out_first, int32_t *out_count);

weft_status weft_stage_create(const weft_stage_shape *shape, weft_device *device, const weft_stage_weights *weights,
                              weft_stage **out, weft_error *error) WEFT_CHECKED;
void weft_stage_destroy(weft_stage *stage);

/* Buffers of one action; only those that it uses are read. All device memory. R: weft_stage_rows. */
typedef struct weft_stage_buffers {
    const weft_stage_weights *weights; /* where they are this time; NULL: where the stage was made to find them */
    const int32_t *tokens;             /* (B, T) first stage */
    const int32_t *targets;            /* (B, T) last stage; < 0 is not counted */
    const int32_t *documents;          /* (B, T) where in its sequence the document of each token begins; NULL: at 0 */
    const int32_t *positions; /* (B, T) of each token, below T, or the cache; NULL: its place in the sequence */
    const void *input;        /* (R, C) */
    void *output;             /* (R, C); not the last stage */
    void *stash;
    const void *gradient; /* (R, C) of the output; not the last stage */
    void *gradient_out;   /* (R, C) of the input; not the first stage */
    void *work;           /* I and W */
    void *workspace;
    float *loss;                      /* (weft_stage_losses) of this micro-batch, nats; last stage */
    const weft_step_scalars *scalars; /* of the step; last stage, where gradients are computed */
    bool accumulate;                  /* false for the first micro-batch of a step */
    void *logits; /* NULL, or storage elements for (B, V) logits of position logits_position and no loss; where that is
                   * negative, for those of all positions (B T, V), and the loss */
    int64_t logits_position;
    /* Of a stage with a cache; the last one may be without logits then. There positions are given. */
    void *cache;  /* device memory */
    int64_t past; /* tokens of each sequence that are in it: positions from here on are written */
} weft_stage_buffers;

void weft_stage_forward(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);
void weft_stage_backward(weft_stage *stage, weft_stream *stream,
                         const weft_stage_buffers *buffers); /* I then W, layer by layer */
void weft_stage_backward_input(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);
void weft_stage_backward_weight(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);

#endif
