/*
 * A schedule: in which order each pipeline rank runs its compute actions. It is the input of lowering (program/).
 *
 * Owns: its arrays.  Lifetime: create to destroy; immutable in between.  Threads: any may read.
 */
#ifndef WEFT_SCHEDULE_SCHEDULE_H
#define WEFT_SCHEDULE_SCHEDULE_H

#include "base/text.h"

typedef enum weft_action_kind {
#define ACTION(name, ...) WEFT_##name,
#include "schedule/actions.def"
#undef ACTION
    WEFT_ACTION_KINDS
} weft_action_kind;

typedef enum weft_action_lane {
    WEFT_LANE_COMPUTE,
    WEFT_LANE_MESSAGE,
    WEFT_LANE_GATHER,
    WEFT_LANE_REDUCE
} weft_action_lane;
typedef enum weft_action_operands {
    WEFT_OPERANDS_STAGE_MICROBATCH,
    WEFT_OPERANDS_STAGE,
    WEFT_OPERANDS_STAGE_BUFFER, /* named like STAGE */
    WEFT_OPERANDS_NONE
} weft_action_operands;
typedef enum weft_action_members {
    WEFT_MEMBERS_ALONE,
    WEFT_MEMBERS_PAIR,
    WEFT_MEMBERS_DATA,
    WEFT_MEMBERS_TENSOR,
    WEFT_MEMBERS_ENDS,
    WEFT_MEMBERS_ALL
} weft_action_members;
typedef enum weft_action_data { /* sets of what actions read and write */
                                WEFT_DATA_NOTHING = 0,
                                WEFT_DATA_INPUT = 1 << 0,
                                WEFT_DATA_OUTPUT = 1 << 1,
                                WEFT_DATA_STASH = 1 << 2,
                                WEFT_DATA_WORK = 1 << 3,
                                WEFT_DATA_GRADIENT = 1 << 4,
                                WEFT_DATA_GRADIENT_OUT = 1 << 5,
                                WEFT_DATA_WEIGHTS = 1 << 6,
                                WEFT_DATA_SHARES = 1 << 7,
                                WEFT_DATA_GRADIENTS = 1 << 8,
                                WEFT_DATA_REDUCED = 1 << 9,
                                WEFT_DATA_SCALARS = 1 << 10,
                                WEFT_DATA_LOSSES = 1 << 11
} weft_action_data;

/* What of a row every layer reads; others have tables of their own columns. */
typedef struct weft_action_info {
    const char *name;
    weft_action_lane lane;
    weft_action_operands operands;
    weft_action_members members;
    uint32_t reads, writes; /* weft_action_data */
    const char *effect;
} weft_action_info;

extern const weft_action_info weft_action_infos[WEFT_ACTION_KINDS];

static inline const weft_action_info *weft_action_info_get(weft_action_kind kind) /* a row of the table; static */
{
    return &weft_action_infos[kind];
}

/* Limits of the packed form; whoever builds actions checks them. */
#define WEFT_STAGES_LIMIT (1 << 24)
#define WEFT_MICROBATCHES_LIMIT (1 << 30)

typedef struct weft_action {
    uint32_t kind : 6;
    uint32_t paired : 1;    /* the second of an overlapped pair, whose first is the action before it */
    uint32_t overwrite : 1; /* in a program: B and W put their weight gradients where others lie that were reduced or
                             * are of the last step, and REDUCE_GRAD its sums; else they add. 0 for all other kinds */
    uint32_t stage : 24;
    uint32_t microbatch; /* UNSHARD, RESHARD and reductions in a program: the buffer; 0 where the kind has none */
} weft_action;

/* F, B, I, W: what a schedule is about. */
enum { WEFT_PASS_KINDS = WEFT_W + 1 };
static inline bool weft_action_is_pass(weft_action action)
{
    return action.kind < WEFT_PASS_KINDS;
}

/* B and W. */
static inline bool weft_action_makes_gradients(weft_action action)
{
    return weft_action_is_pass(action) && weft_action_infos[action.kind].writes & WEFT_DATA_GRADIENTS;
}

/* REDUCE_GRAD and REDUCE_TENSOR: over the workers of one rank. */
static inline bool weft_action_reduces(weft_action action)
{
    return !weft_action_is_pass(action) && weft_action_infos[action.kind].reads & WEFT_DATA_GRADIENTS;
}

/* Whether the kind has an overwrite: B, W and REDUCE_GRAD. */
static inline bool weft_action_can_overwrite(weft_action action)
{
    return weft_action_makes_gradients(action) ||
           (weft_action_reduces(action) && weft_action_infos[action.kind].writes & WEFT_DATA_REDUCED);
}

/* REDUCE_TIED, NORM, METRICS: one node over several ranks. */
static inline bool weft_action_is_collective(weft_action action)
{
    return weft_action_infos[action.kind].members >= WEFT_MEMBERS_ENDS;
}

/* Whether two actions of a rank can run as one overlapped pair: a forward and a backward pass (B or I) of different
 * micro-batches, so that neither can need what the other makes. */
bool weft_action_can_pair(weft_action first, weft_action second);

/* "3B12", "1UNSHARD", "NORM". */
void weft_action_print(weft_action action, weft_text *out);

/* What ends a SEND or a REDUCE_GRAD in a file with communication: WAIT_SEND_F, WAIT_SEND_B, WAIT_REDUCE_GRAD. It is no
 * action of a program, where an action has ended when the next one of its lane begins. */
typedef struct weft_wait {
    size_t of;     /* the SEND or REDUCE_GRAD: an index of the schedule's actions */
    size_t before; /* it stands in front of this action; first[r + 1]: at the end of row r. Never inside a pair */
} weft_wait;

/* "1WAIT_SEND_F0", the wait of 1SEND_F0. */
void weft_wait_print(weft_action of, weft_text *out);

typedef struct weft_schedule {
    int32_t ranks, loops, stages, microbatches; /* P, V, S, M */
    bool forward_only;                          /* no backward actions: evaluation, sampling */
    bool has_messages;                          /* read from a file with SEND and RECV: executed as written */
    bool ascending;                             /* each stage's gradients arrive in ascending micro-batch order */
    char name[64];                              /* the kind, or the file's name */
    int32_t *stage_rank;                        /* (S) placement */
    size_t *first;                              /* (P + 1) rank r runs actions[first[r]] .. actions[first[r + 1] - 1] */
    weft_action *actions;
    weft_wait *waits; /* where messages were written out with them, by their places; else NULL. A file's are dropped */
    size_t wait_count;
} weft_schedule;

/* Goes along a row, with the waits that stand in it: cells = {schedule, rank}. False at its end. */
typedef struct weft_cells {
    const weft_schedule *schedule;
    int32_t rank;
    bool begun;
    size_t next, wait;  /* the next action; the next wait */
    weft_action action; /* of the cell; for a wait what it ends */
    bool is_wait;
} weft_cells;
bool weft_cells_next(weft_cells *cells);
void weft_cell_print(const weft_cells *cells, weft_text *out);

typedef struct weft_schedule_options {
    const char *kind;                   /* a name of weft_schedule_kind_names */
    int32_t ranks, loops, microbatches; /* loops 0: those of the list, or the kind's own, mostly 1 */
    const char *placement; /* "linear", "loop", "v", the rank of each stage as "0,1,1,0", or NULL for the kind's own */
    int32_t group;         /* hybrid: micro-batches of a group, P .. M; 0: half of them, or P if that is more */
} weft_schedule_options;

/* Whether a placement is the list of a rank for each stage; NULL is none. */
bool weft_placement_is_list(const char *placement);

/* NULL-terminated names, from sequential on. */
const char *const *weft_schedule_kind_names(void);

/* One line that says what a kind is; NULL for an unknown name. */
const char *weft_schedule_kind_summary(const char *kind);

/* The placement of a kind when nobody names one: linear, loop or v; NULL for an unknown name. */
const char *weft_schedule_kind_placement(const char *kind);
/* Why a kind goes with no list but one of those; NULL: it goes with every list, or is unknown. */
const char *weft_schedule_kind_no_list(const char *kind);

/* WEFT_INVALID with the reason for what makes no sense (unknown kind with the nearest name, P < 1, loops on a kind
 * that has none, ...). M < P and M not divisible by P are fine everywhere. */
weft_status weft_schedule_create(const weft_schedule_options *options, weft_schedule **out,
                                 weft_error *error) WEFT_CHECKED;
void weft_schedule_destroy(weft_schedule *schedule);

/* The forward actions of a schedule in their order, without messages: what evaluation and sampling run. WEFT_INVALID
 * unless there are S x M of them; which they are is for verification to prove. */
weft_status weft_schedule_forward(const weft_schedule *schedule, weft_schedule **out, weft_error *error) WEFT_CHECKED;

/* The CSV of torch.distributed.pipelining (docs/schedule-csv.md): one row a rank, LF, no blanks; overlapped pairs are
 * fused cells; with the schedule's waits, as its loader wants them since 2.15, where it has any. */
void weft_schedule_write_csv(const weft_schedule *schedule, weft_text *out);
typedef enum weft_csv_dialect {
    WEFT_CSV_CURRENT, /* what looks like the dialect of 2024 is refused */
    WEFT_CSV_2024,    /* B is the gradient of the input only, BW the full backward pass; there is no I */
} weft_csv_dialect;
/* Whether a name is that of a file, and of no kind. */
bool weft_schedule_is_file(const char *name);
/* source names the text in messages (file, row, column, token). The waits of a file with communication are proved, then
 * dropped; so are reductions, and their waits, of a file without messages. */
weft_status weft_schedule_read_csv(const char *text, size_t length, const char *source, weft_csv_dialect dialect,
                                   weft_schedule **out, weft_error *error) WEFT_CHECKED;
/* The same schedule as torch.distributed.pipelining executes it. Of a schedule of passes the messages become actions: a
 * SEND right behind the pass that makes it, and its RECV at the same time behind what the receiving rank has placed by
 * then; overlapped pairs become two passes. One that has messages keeps them. Behind the last B or W of a stage and its
 * SEND comes REDUCE_GRAD, where there is none: there torch divides gradients by M. With waits: one for each of both
 * (src/schedule/waits.c says where). WEFT_INVALID for what cannot run with each row as one list, with the shortest
 * circle. */
weft_status weft_schedule_write_out_messages(const weft_schedule *schedule, bool waits, weft_schedule **out,
                                             weft_error *error) WEFT_CHECKED;

/* "4 stages over 2 ranks" */
void weft_schedule_add_shape(int32_t stages, int32_t ranks, weft_text *out);

/* For people: a header line and one aligned row a rank. */
void weft_schedule_write_text(const weft_schedule *schedule, weft_text *out);

#endif
