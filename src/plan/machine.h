/*
 * What training runs on, as a planner sees it: a kind of GPU, how many, what joins them, and what the training software
 * can do. Bytes, seconds, flops; rates are a second.
 *
 * Threads: any.
 */
#ifndef WEFT_PLAN_MACHINE_H
#define WEFT_PLAN_MACHINE_H

#include "base/status.h"

#include <stdint.h>

/* Where a number comes from; what is said of a plan is as good as the worst that decides it. */
typedef enum weft_plan_origin {
    WEFT_PLAN_ASSUMED,    /* scaled from another machine, or a default */
    WEFT_PLAN_DATA_SHEET, /* printed by the maker */
    WEFT_PLAN_FITTED,     /* to runs of this kind of machine */
    WEFT_PLAN_MEASURED,   /* on this machine, or given by the user */
} weft_plan_origin;

enum { WEFT_PLAN_RINGS = 8 }; /* all-reduces in a node: of 2, 4, 8, ..., 256 GPUs */

typedef struct weft_plan_ring {
    double start; /* seconds */
    double bus;   /* bytes a second; 0: no such ring is known */
} weft_plan_ring;

/* One kind of GPU (gpus.def). Efficiencies are shares of the peak. */
typedef struct weft_plan_gpu {
    char name[32];
    double memory;    /* bytes */
    double peak;      /* flops a second of 16-bit products */
    double bandwidth; /* of its memory */
    double multiprocessors;
    double products, fill;     /* e_mm, g0: efficiency of large products; outputs (of SM 16384) that halve it */
    double traffic, attention; /* e_mem, e_att */
    double unaligned;          /* al_64: how many times as long where widths are no multiples of 64 */
    double scores, loss;       /* c_soft, c_loss: bytes an element of attention scores, of logits */
    double link;               /* in a node, one direction of one GPU */
    double nic;                /* between nodes: its share of the adapters of a node as the maker builds them */
    weft_plan_ring rings[WEFT_PLAN_RINGS];
    weft_plan_origin origin[4]; /* of peak, bandwidth; efficiencies; link; rings */
} weft_plan_gpu;

/* NULL for an unknown name. The table ends with a row whose name is empty. */
const weft_plan_gpu *weft_plan_gpu_find(const char *name);
const weft_plan_gpu *weft_plan_gpus(void);

typedef enum weft_plan_recompute {
    WEFT_PLAN_RECOMPUTE_NONE,
    WEFT_PLAN_RECOMPUTE_SELECTIVE, /* the attention core alone */
    WEFT_PLAN_RECOMPUTE_FULL,
    WEFT_PLAN_RECOMPUTES
} weft_plan_recompute;

/* How a layout orders its passes, as closed forms tell them apart. */
typedef enum weft_plan_kind {
    WEFT_PLAN_NONE, /* one stage */
    WEFT_PLAN_GPIPE,
    WEFT_PLAN_1F1B,
    WEFT_PLAN_DEPTH_FIRST,
    WEFT_PLAN_BREADTH_FIRST,
    WEFT_PLAN_HYBRID, /* breadth-first in rounds */
    WEFT_PLAN_ZB_H1,
    WEFT_PLAN_ZB_H2,
    WEFT_PLAN_ZB_V,
    WEFT_PLAN_SEQUENTIAL,
    WEFT_PLAN_INTERLEAVED_ZERO_BUBBLE,
    WEFT_PLAN_BREADTH_FIRST_SPLIT,
    WEFT_PLAN_DUALPIPE_V,
    WEFT_PLAN_V_HALF,
    WEFT_PLAN_V_MIN,
    WEFT_PLAN_KINDS
} weft_plan_kind;

typedef struct weft_plan_kind_traits {
    const char *name; /* that of the schedule; "none" for one stage */
    int32_t loops;    /* stages a rank that it goes with; 0: two or more */
    int32_t least;    /* micro-batches that it must have for each rank */
    bool turns;       /* on a v: the last stage is on the first rank */
} weft_plan_kind_traits;

const weft_plan_kind_traits *weft_plan_kind_of(weft_plan_kind kind);
bool weft_plan_kind_has_loops(weft_plan_kind kind, int32_t loops); /* whether it goes with so many stages a rank */
const char *weft_plan_kind_name(weft_plan_kind kind);

/* What the trainer can do, apart from the machine. */
typedef struct weft_plan_software {
    char name[32];
    /* What it has, as bits by enum: weft_plan_kind, weft_shard, weft_plan_recompute. */
    uint32_t kinds, shards, recomputes;
    bool context;           /* divides sequences over workers */
    bool sequence_parallel; /* norms and sums between blocks are divided over the tensor group */
    bool messages_overlap;  /* messages of stage boundaries go beside compute; else they block it */
    bool reduces_overlap;   /* gradients are reduced beside compute; else after it */
    bool chains_steps;      /* each rank begins the next step as soon as its own is through */
    bool shards_messages;   /* each tensor-parallel worker sends its part of a message */
    double stall;           /* seconds a blocking message pair costs besides */
    /* Host time: seconds a layer forward; times 1 + tensor_host log2 t; unfused attention with an odd number of heads
     * takes unfused_host of it more; host and device combine as (device^q + host^q)^(1/q). */
    double host, tensor_host, unfused_host, combine;
    double speed;          /* sw: share of the ideal speed of products */
    double contention;     /* share of the time of an overlapped collective that compute loses */
    double tensor_exposed; /* share of the collectives of a tensor group that is not hidden */
    double data_reduce;    /* x_dp: how many times as long reductions of gradients take */
    double step;           /* seconds a step besides */
    double optimizer;      /* bytes moved a parameter in an optimizer step */
    /* Bytes a parameter: weights, gradients, optimizer; an element of a reduced gradient. */
    double weight_bytes, gradient_bytes, optimizer_bytes, reduced_bytes;
    double gathered_bytes; /* of an element of gathered weights */
    double gather_times;   /* how many times as long gathers take as reductions of as many bytes */
    double fp16_sharded;   /* of the gradient bytes, what goes with the optimizer where elements are fp16, not bf16 */
    double selective;      /* share of a layer besides the attention core that selective recomputation does again */
    double logits, work; /* c_log: bytes an element of logits; times one layer's saved bytes with full recomputation */
    bool adds_gradients; /* weight gradients are made apart and added in fp32 */
    double slack;        /* of the allocator: times all bytes */
    weft_plan_origin origin; /* of its numbers */
} weft_plan_software;

const weft_plan_software *weft_plan_software_find(const char *name); /* "weft", "megatron-2022", "zero-3"; or NULL */
const weft_plan_software *weft_plan_softwares(void);                 /* ends with an empty name */

/* A measured time of one layer: hidden, tensor and micro-batch name the case. Without recomputation, which adds the
 * forward pass. */
typedef struct weft_plan_layer_time {
    int64_t hidden;
    int32_t tensor, micro_batch;
    double forward, backward; /* seconds */
    /* Of the embedding and of the head with its loss; 0: not measured. */
    double embedding_forward, embedding_backward, head_forward, head_backward;
    double sum;  /* what the workers of a tensor group add up once a step, each having a part of it */
    bool scaled; /* by tokens, from that of a smaller micro-batch; a file does not say */
} weft_plan_layer_time;

/* How many times as long layers of one shape take as the closed form says; from runs. */
typedef struct weft_plan_shape_times {
    int64_t hidden, tokens; /* tokens: of a micro-batch on one worker */
    int32_t tensor;
    double times;
} weft_plan_shape_times;

typedef struct weft_plan_cluster {
    char name[64];
    weft_plan_gpu gpu;           /* a copy: the user may change its numbers */
    weft_plan_software software; /* a copy */
    int32_t nodes, gpus_per_node;
    double nic;                /* between nodes: bytes a second of one node, one direction */
    double nic_efficiency;     /* e_nic */
    double collective_start;   /* a_net: seconds */
    double message_start;      /* a_p2p: seconds */
    double near_message_start; /* seconds of a message within a node */
    double message_gather;     /* bytes a second at which a node puts a divided message together; 0: by its rings */
    double reserved;           /* bytes of each GPU that training cannot have */
    double price;              /* of one GPU for an hour; 0: not known */
    const weft_plan_layer_time *measured; /* (measured_count), borrowed; sorted by hidden, tensor, micro_batch */
    int32_t measured_count;
    const weft_plan_shape_times *shapes; /* (shape_count), borrowed */
    int32_t shape_count;
    weft_plan_origin network; /* of the four numbers between nodes */
} weft_plan_cluster;

/* One node of 8 such GPUs and defaults for all else. */
void weft_plan_cluster_init(weft_plan_cluster *cluster, const weft_plan_gpu *gpu, const weft_plan_software *software);

/* WEFT_INVALID with the key for what is not positive, too large, or contradicts another. */
weft_status weft_plan_cluster_check(const weft_plan_cluster *cluster, weft_error *error) WEFT_CHECKED;

/* All-reduce of so many bytes over `members` of which in_node are in each node, `sharing` such groups using a node's
 * NICs at once; seconds. A gather or a scatter takes half. */
double weft_plan_all_reduce(const weft_plan_cluster *cluster, double bytes, int32_t members, int32_t in_node,
                            int32_t sharing);

#endif
