/*
 * What the files of the executor share. Internal to executor*.c.
 */
#ifndef WEFT_TRAIN_EXECUTOR_PARTS_H
#define WEFT_TRAIN_EXECUTOR_PARTS_H

#include "train/executor.h"
#include "train/look.h"
#include "train/task.h"

typedef struct weft_executor_lane {
    const weft_bound_lane *bound;
    weft_stream *stream, *made; /* made: its own, to be destroyed */
    uint32_t next, past;        /* instruction that is issued next or under way; past the last */
    uint32_t left;              /* the first one that the lane has not left behind */
    bool active;                /* next is under way with others */
    weft_task task;
    weft_event *late; /* behind an instruction whose end comes later than the lane may go on */
    weft_event *free; /* the lane may go on when it is reached; what waits for an instruction waits for its end */
} weft_executor_lane;

typedef enum { WEFT_WAITING, WEFT_ISSUED, WEFT_ENDED } weft_executor_state;

struct weft_executor {
    weft_executor_options options;
    weft_device *device;
    const weft_bound *bound;
    weft_executor_lane *lanes; /* lanes[0] is the compute lane */
    uint32_t left;             /* instructions that no lane has left behind in this run */
    uint8_t *states;           /* (instructions) */
    weft_event *events;        /* (2 instructions + lanes) begins, ends, then late of each lane */
    int32_t event_count;
    weft_event *begin, *end; /* (instructions) */
    int64_t start;           /* nanoseconds when the run began */
    double last_progress;
    weft_look look;
    int64_t last_finished;               /* instruction, or -1 */
    char waiting[64 + WEFT_WORLD_NAMES]; /* for what, in words, since nothing moves */
    bool polling;                        /* the between hook must not enter itself */
    weft_status status;                  /* of what the hook met */
    weft_error error;
};

static inline bool weft_executor_has_ended(const weft_executor *executor, uint32_t instruction)
{
    uint8_t *at = &executor->states[instruction];
    if (*at == WEFT_ISSUED && executor->device->operations->event_done(executor->device, &executor->end[instruction]))
        *at = WEFT_ENDED;
    return *at == WEFT_ENDED;
}

static inline weft_executor_lane *weft_executor_lane_of(const weft_executor *executor, uint32_t instruction)
{
    int32_t i = 0;
    while (instruction >= executor->lanes[i].past) i++;
    return &executor->lanes[i];
}

/* executor_waits.c */
/* Lets others know what runs on the compute lane. */
void weft_executor_tell(const weft_executor *executor, uint32_t instruction);
/* The same of what a lane's instruction waits for, which stands in executor->waiting then. */
void weft_executor_tell_waiting(weft_executor *executor, const weft_executor_lane *lane);
/* For weft_exchange_host: a pass waits for an exchange, and goes on. context: the executor. */
const char *weft_executor_tell_exchange(void *context, const char *exchange);
void weft_executor_tell_compute(void *context);
/* Sleeps until the device or another rank may have finished something. *told: the others know what it waits for. */
weft_status weft_executor_pause(weft_executor *executor, bool *told, weft_error *error) WEFT_CHECKED;

#endif
