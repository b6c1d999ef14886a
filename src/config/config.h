/*
 * A run's configuration: one struct, one field table (fields.def). From the table come the YAML reader, key=value
 * overrides, range checks, the dump with origins, the help text and docs/configuration.md.
 *
 * Owns: strings live in the config's arena.  Lifetime: init to fini; immutable after loading.  Threads: any may read.
 */
#ifndef WEFT_CONFIG_CONFIG_H
#define WEFT_CONFIG_CONFIG_H

#include "base/text.h"

#define WEFT_CONFIG_STEPS 1000000000000 /* the most that run.steps can be */
#define WEFT_CONFIG_PLACEMENT 65536     /* bytes of parallel.placement: a list of ten thousand stages */

typedef struct weft_config_list {
    const int64_t *values;
    int64_t count;
} weft_config_list;

typedef struct weft_config_source {
    const char *path;
    double weight;
} weft_config_source;

typedef struct weft_config_sources {
    const weft_config_source *items;
    int64_t count;
} weft_config_sources;

/* Choices are stored as the index into their name list in fields.def; the enums here follow that order. */
typedef enum { WEFT_CONFIG_LAYERNORM, WEFT_CONFIG_RMSNORM } weft_config_norm;
typedef enum { WEFT_CONFIG_LEARNED, WEFT_CONFIG_ROTARY } weft_config_position;
typedef enum { WEFT_CONFIG_GELU, WEFT_CONFIG_SWIGLU } weft_config_activation;
typedef enum {
    WEFT_CONFIG_SCALING_NONE,
    WEFT_CONFIG_SCALING_LINEAR,
    WEFT_CONFIG_SCALING_LLAMA3,
    WEFT_CONFIG_SCALING_YARN
} weft_config_scaling;
typedef enum {
    WEFT_CONFIG_AUTO,
    WEFT_CONFIG_TEXT,
    WEFT_CONFIG_NANOGPT,
    WEFT_CONFIG_LLMC,
    WEFT_CONFIG_UINT32,
    WEFT_CONFIG_MEGATRON
} weft_config_format;
typedef enum {
    WEFT_CONFIG_DOCUMENTS_NONE,
    WEFT_CONFIG_DOCUMENTS_MASK,
    WEFT_CONFIG_DOCUMENTS_RESET
} weft_config_documents;
typedef enum { WEFT_CONFIG_CONSTANT, WEFT_CONFIG_LINEAR, WEFT_CONFIG_COSINE, WEFT_CONFIG_WSD } weft_config_decay;
typedef enum { WEFT_CONFIG_RECOMPUTE_NONE, WEFT_CONFIG_RECOMPUTE_FULL } weft_config_recompute;
typedef enum { WEFT_CONFIG_ELEMENT_FP32, WEFT_CONFIG_ELEMENT_BF16 } weft_config_element; /* = weft_element */
typedef enum {
    WEFT_CONFIG_SHARD_NONE,
    WEFT_CONFIG_SHARD_OPTIMIZER,
    WEFT_CONFIG_SHARD_GRADIENTS,
    WEFT_CONFIG_SHARD_WEIGHTS
} weft_config_shard; /* = weft_shard of program/ */
typedef enum { WEFT_CONFIG_REDUCE_ONCE, WEFT_CONFIG_REDUCE_EARLY } weft_config_reduce;
typedef enum {
    WEFT_CONFIG_TENSOR_DATA_PIPELINE,
    WEFT_CONFIG_TENSOR_PIPELINE_DATA,
    WEFT_CONFIG_DATA_TENSOR_PIPELINE,
    WEFT_CONFIG_DATA_PIPELINE_TENSOR,
    WEFT_CONFIG_PIPELINE_TENSOR_DATA,
    WEFT_CONFIG_PIPELINE_DATA_TENSOR
} weft_config_order;
typedef enum { WEFT_CONFIG_DIALECT_CURRENT, WEFT_CONFIG_DIALECT_2024 } weft_config_dialect; /* = weft_csv_dialect */
typedef enum { WEFT_CONFIG_LOCAL, WEFT_CONFIG_MPI } weft_config_transport; /* = lines of transport/kinds.def */

typedef struct weft_model_config {
    int64_t architecture; /* preset: gpt2 | llama; sets the defaults of norm, position, activation, bias, tied */
    int64_t layers, width, heads, kv_heads, feed_forward, vocabulary,
        context;        /* kv_heads 0 = heads; feed_forward 0 = preset's */
    int64_t head_width; /* 0 = width / heads */
    int64_t window;     /* tokens that one sees with itself; 0: all before it */
    int64_t norm, position, activation;
    bool bias, tied, qkv_bias, query_key_norm;
    double norm_epsilon, rotary_base, init_deviation;
    int64_t rotary_scaling, rotary_context; /* weft_config_scaling; 0 = context */
    double rotary_factor, rotary_low, rotary_high, rotary_fast, rotary_slow, rotary_magnitude; /* 0 = by the factor */
    bool rotary_truncate;
} weft_model_config;

typedef struct weft_config {
    struct {
        const char *folder; /* default: run/<name of the file without .yaml> */
        const char *start;  /* whose weights the run starts with; empty: random ones */
        int64_t steps, seed;
        int64_t evaluate_every,
            evaluate_batches;  /* 0: only at the end; batches of M x B sequences, 0: the whole held-out part */
        int64_t timeline_step; /* which step is drawn; 0: the last */
        int64_t timelines;     /* about how many steps' timelines are kept; 0: none */
        bool tensorboard;      /* event files beside metrics.jsonl */
        int64_t sample_tokens; /* printed at the end; 0: none */
        const char *sample_prompt;
    } run;
    weft_model_config model;
    struct {
        const char *path;            /* file, folder or prefix; empty where there are sources */
        weft_config_sources sources; /* in its place */
        int64_t format;              /* weft_config_format */
        const char *tokenizer;       /* file or folder; empty: none, text is bytes */
        const char *tokenizer_pattern, *tokenizer_fingerprint, *cache;
        int64_t documents;         /* weft_config_documents */
        int64_t end_of_text;       /* a token; -1: the tokenizer's, or none */
        const char *held_out_path; /* or empty: held_out of path */
        double held_out;           /* share of blocks, spread over the whole */
    } data;
    struct {
        int64_t microbatches, sequences,
            tokens; /* M, sequences a micro-batch, tokens a sequence (T; 0 = model.context) */
    } batch;
    struct {
        double z, label_smoothing; /* 0: none */
    } loss;
    struct {
        double learning_rate, minimum; /* minimum: share of learning_rate at the end of decay */
        int64_t warmup, decay,
            decay_steps; /* decay: weft_config_decay; decay_steps: of wsd, 0 = a fifth of the steps */
        double beta1, beta2, epsilon, weight_decay, clip; /* clip 0: none */
        double skip;                                      /* a z-score; 0: no step is skipped */
        int64_t skip_window, skip_in_a_row;               /* steps it is of; so many skipped end the run */
        const char *frozen;                               /* patterns of names, separated by blanks */
    } optimizer;
    struct {
        int64_t pipeline, loops, group, data, tensor;
        int64_t order;           /* weft_config_order */
        int64_t shard;           /* weft_config_shard */
        int64_t reduce;          /* weft_config_reduce */
        int64_t buffers;         /* stages of a worker with whole weights, or with gradients, at once */
        const char *schedule;    /* a kind or FILE.csv */
        const char *placement;   /* own, linear, loop, v, a list of ranks, or auto */
        int64_t dialect;         /* weft_config_dialect of a schedule file */
        weft_config_list stages; /* layers of each stage; empty: found by the splitter */
        bool automatic;          /* parallel.auto: the plan chooses the layout */
        int64_t workers;         /* for it */
        const char *cluster;     /* what it plans for; empty: cluster.yaml in the run folder */
    } parallel;
    struct {
        int64_t every, keep; /* every 0: at the end only */
    } checkpoint;
    const char *device;   /* a device kind */
    int64_t threads;      /* of one worker; 0: cores / workers on this machine, at least 1 */
    int64_t element;      /* weft_config_element */
    int64_t recompute;    /* weft_config_recompute */
    int64_t transport;    /* weft_config_transport */
    int64_t memory_limit; /* bytes a worker may use (accepts 8GiB, 512MiB); 0: no limit */
    double timeout;       /* seconds without any progress */

    struct weft_config_origin *origins; /* where each value came from; private to config/ */
    weft_arena arena;
} weft_config;

/* What a configuration is read for. All but training puts values of its own in place of some (fields.def). */
typedef enum weft_config_use {
    WEFT_CONFIG_TO_TRAIN,
    WEFT_CONFIG_TO_SAMPLE,   /* from the model, on one worker */
    WEFT_CONFIG_TO_REHEARSE, /* the schedule, with a model of next to nothing on emulated devices */
    WEFT_CONFIG_USES
} weft_config_use;

/* Reads path, then overrides ("section.key=value" each). WEFT_INVALID with one line: file, line, column, key and what
 * is known nearest. Checks types, ranges and everything that needs no other layer (heads divide width, ...). */
weft_status weft_config_load(weft_config *config, const char *path, const char *const *overrides, int override_count,
                             weft_error *error) WEFT_CHECKED;
/* The same from text in memory; name stands for the file in messages. */
weft_status weft_config_load_text(weft_config *config, const char *text, size_t length, const char *name,
                                  const char *const *overrides, int override_count, weft_error *error) WEFT_CHECKED;
/* The same for a use; its values win over the overrides. */
weft_status weft_config_load_for(weft_config *config, weft_config_use use, const char *path,
                                 const char *const *overrides, int override_count, weft_error *error) WEFT_CHECKED;
weft_status weft_config_load_text_for(weft_config *config, weft_config_use use, const char *text, size_t length,
                                      const char *name, const char *const *overrides, int override_count,
                                      weft_error *error) WEFT_CHECKED;
void weft_config_fini(weft_config *config);

/* What a run starts from, as the layer that can read it tells. */
typedef struct weft_config_start {
    const weft_config *config; /* its model takes the place of defaults; NULL: there is none to start from */
    const char *name;          /* for messages */
    const char *tokenizer;     /* in place of data.tokenizer's default; NULL: none */
} weft_config_start;
/* Finds it by run.start, which is not empty, and run.folder. What is found lives as long as the context. */
typedef weft_status weft_config_finder(void *context, const char *start, const char *folder, weft_config_start *out,
                                       weft_error *error);
/* As weft_config_load; without a finder run.start means nothing to the model. WEFT_INVALID also at a key of the model
 * that is another in what the run starts from, but for a smaller model.context. */
weft_status weft_config_load_from(weft_config *config, weft_config_finder *finder, void *context, const char *path,
                                  const char *const *overrides, int override_count, weft_error *error) WEFT_CHECKED;
weft_status weft_config_load_text_from(weft_config *config, weft_config_finder *finder, void *context, const char *text,
                                       size_t length, const char *name, const char *const *overrides,
                                       int override_count, weft_error *error) WEFT_CHECKED;

/* Where the value of a key that exists comes from, as far as it matters to whoever chooses values. */
typedef enum weft_config_given {
    WEFT_CONFIG_NOT_GIVEN, /* a default, or chosen by the plan */
    WEFT_CONFIG_IN_FILE,
    WEFT_CONFIG_ON_COMMAND_LINE
} weft_config_given;
weft_config_given weft_config_given_by(const weft_config *config, const char *key);
/* Sets a key, as text, with origin "plan". Checks type and range of the value alone; weft_config_check is for whoever
 * has set all: keys that go together, which loading leaves open where parallel.auto is true. */
weft_status weft_config_choose(weft_config *config, const char *key, const char *value, weft_error *error) WEFT_CHECKED;
weft_status weft_config_check(const weft_config *config, weft_error *error) WEFT_CHECKED;
/* The value of a key as text that weft_config_choose takes. */
void weft_config_value(const weft_config *config, const char *key, weft_text *out);

/* The name that messages call it by: its path, unless that holds control characters or is very long. */
const char *weft_config_name(const weft_config *config);

/* Every value in force as YAML that load reads back; with_origins adds "# file:line", "# default", "# command line",
 * "# plan" or "# start". */
void weft_config_dump(const weft_config *config, bool with_origins, weft_text *out);
void weft_config_dump_json(const weft_config *config,
                           weft_text *out); /* {"model.layers": {"value": .., "origin": ".."}} */
/* The table for people: key, type, default, range, meaning. */
void weft_config_help(weft_text *out);

/* Writes "FILE:LINE:COLUMN: key: " (or the like) for a later layer's complaint about a key, into the error's context.
 */
weft_status weft_config_complain(const weft_config *config, const char *key, weft_error *error, const char *format, ...)
    WEFT_PRINTF(4, 5);
/* The same for the complaint of a lower layer about a key's value, which stands in the error. What is not the user's
 * mistake (no memory, say) keeps its status and its words. Returns error->status. */
weft_status weft_config_relay(const weft_config *config, const char *key, weft_error *error);

#endif
