/*
 * The kinds of transport: a const table of what each can do and of how its endpoints begin and end. Whoever starts
 * workers reads it and names no kind. To add one: a folder with its row, a line of kinds.def,
 * a word in the configuration's key.
 *
 * Workers are threads of this process, or each is a process that a launcher started. What the endpoints of one process
 * share is a world: opened before the first of them is created, closed after the last was destroyed.
 *
 * Owns: nothing.  Threads: open, close, halt and what concerns processes: one; create: each worker's own.
 */
#ifndef WEFT_TRANSPORT_KINDS_H
#define WEFT_TRANSPORT_KINDS_H

#include "transport/transport.h"

typedef struct weft_transport_world weft_transport_world; /* a kind's own */

/* Workers that are processes: how they find each other and end together. */
typedef struct weft_transport_processes {
    /* How many a launcher started, this one among them; 0: it was started by itself. Starts nothing. out_variable: set
     * to the variable that says it, where there is one; may be NULL. */
    int32_t (*launched)(const char **out_variable);
    /* Once per process; again only asks. Waits for all processes, however long: see transport/watch.h. */
    weft_status (*start)(int32_t *out_rank, int32_t *out_size, weft_error *error);
    /* Every process, once, when it is done with transports, well or not: the least of their words. false when not all
     * have come within so many seconds (or something failed): only abort is left then. */
    bool (*agree)(int64_t own, double seconds, int64_t *out_least);
    void (*finish)(void);    /* collective */
    void (*abort)(int code); /* ends every process; may not return */
    const char *launcher;    /* a command that starts several: "mpirun -n" */
} weft_transport_processes;

typedef struct weft_transport_kind {
    const char *name, *summary;
    const weft_transport_processes *processes; /* NULL: workers are threads of one process */
    bool shares_memory;                        /* its endpoints borrow: workers read each other's memory in place */
    bool reaches_devices;    /* moves memory that the host does not reach; else staged/ carries it there */
    bool peer_copies;        /* does so where the device has copy_peer */
    bool ordered;            /* weft_transport.ordered of its endpoints */
    uint64_t (*clock)(void); /* tells clocks apart: the times of workers of one number can be compared */
    /* groups stay the caller's until close. */
    weft_status (*open)(int32_t size, const weft_group *groups, int32_t group_count, weft_transport_world **out,
                        weft_error *error);
    void (*close)(weft_transport_world *world); /* accepts NULL */
    /* A world whose workers could not all start: every endpoint gets WEFT_STOPPED. */
    void (*halt)(weft_transport_world *world);
    weft_status (*create)(weft_transport_world *world, int32_t rank, weft_transport **out, weft_error *error);
} weft_transport_kind;

/* The kinds in the order in which the configuration's key lists them, then NULL. The first needs no launcher. */
const weft_transport_kind *const *weft_transport_kinds(void);
const weft_transport_kind *weft_transport_kind_get(int64_t choice); /* by its place in that order */

/* The kind by whose launcher this process was started, of how many processes (see launched); NULL: by none. */
const weft_transport_kind *weft_transport_launched(int32_t *out_count, const char **out_variable);

/* The rows, each in its folder. */
#define KIND(name) extern const weft_transport_kind weft_transport_##name;
#include "transport/kinds.def"
#undef KIND

#endif
