/*
 * Inside the mpi transport: the endpoint, its requests, and the messages on the control communicator.
 *
 * Every MPI call is MPI-3.1 and is made by the endpoint's thread. A request is one or more parts, each an MPI request;
 * the parts of all requests lie side by side, so that one MPI_Testsome looks after them. Messages over piece_limit
 * bytes travel in pieces behind one request. Nothing allocates once the tables have grown to the run's needs.
 *
 * All workers are assumed to run on machines of one byte order.
 */
#ifndef WEFT_TRANSPORT_MPI_ENDPOINT_H
#define WEFT_TRANSPORT_MPI_ENDPOINT_H

#include "transport/common.h"

#include <mpi.h>

typedef struct weft_mpi_part {
    int32_t request, peer;
    int expected; /* bytes that a receive must bring; -1 for anything else */
    size_t whole; /* bytes of the message that this is a piece of */
    bool large;   /* both sides take steps in it */
    bool silent;  /* its end may come without a bell */
} weft_mpi_part;

typedef struct weft_mpi_request {
    bool busy, odd;      /* odd: a receive met another size */
    int32_t tag;         /* or WEFT_TRANSPORT_GATHER */
    int32_t group, open; /* open: parts under way */
    int32_t next;        /* of the spare requests */
    int code;            /* of the first part that failed, MPI_SUCCESS when none did */
    int64_t finished;    /* weft_clock_nanoseconds when the last part was found done */
    int32_t odd_peer;
    int64_t odd_count; /* -1: longer than expected */
    size_t odd_expected;
    int *table; /* of a gather by MPI_Iallgatherv: counts, then displacements */
} weft_mpi_request;

typedef struct weft_mpi_group {
    MPI_Comm communicator; /* MPI_COMM_NULL where this worker is no member, or the only one */
    weft_group group;      /* members are the endpoint's own copy */
    int32_t place;         /* -1: not a member */
    int **spare;           /* tables that no gather is using */
    size_t spare_count, spare_capacity, made;
} weft_mpi_group;

typedef enum weft_mpi_kind { WEFT_MPI_QUERY, WEFT_MPI_ANSWER, WEFT_MPI_STOP, WEFT_MPI_KINDS } weft_mpi_kind;

/* Every control message carries what its sender has published. */
typedef struct weft_mpi_note {
    int32_t kind, round;
    char text[WEFT_TRANSPORT_REPORT];
} weft_mpi_note;

typedef struct weft_mpi_control {
    MPI_Comm communicator;
    weft_mpi_note *out;           /* (size x kinds) */
    MPI_Request *sends;           /* the same; MPI_REQUEST_NULL when out may be written */
    weft_mpi_note *in;            /* (1): always posted, from anybody */
    MPI_Request receive, barrier; /* barrier: one that timed out is resumed by the next call */
    weft_transport_report *heard; /* (size) */
    char text[WEFT_TRANSPORT_REPORT], stop_text[WEFT_TRANSPORT_REPORT];
    int32_t stopped_by, round; /* -1; the interrogation that answers belong to */
    bool asking;
} weft_mpi_control;

typedef struct weft_mpi {
    weft_transport base;
    MPI_Comm messages;
    int32_t tag_limit;
    size_t piece_limit, collective_limit; /* bytes: of a first piece (about), of a gather in one call */
    weft_mpi_group *groups;
    int32_t *members; /* of all groups, one after the other */
    int32_t group_count;
    weft_mpi_request *requests;
    size_t request_capacity, request_count;
    int32_t spare; /* first spare request, or -1 */
    /* Side by side: (part_count) used, (part_capacity) there. */
    MPI_Request *handles;
    weft_mpi_part *parts;
    int *indices;
    MPI_Status *statuses;
    size_t part_count, handle_capacity, part_capacity, index_capacity, status_capacity;
    weft_mpi_control control;
    bool moved;  /* a request was done since the last wait */
    bool broken; /* something failed: nothing collective any more */
    /* bell.c */
    struct weft_mpi_bell **bells; /* (size) NULL for workers of other machines */
    MPI_Win bell_window;
    bool alone_on_machine; /* all workers share it */
    size_t silent_parts;
    uint32_t heard; /* how often its own bell had rung when it last listened */
    bool expects;   /* something to arrive: its bell has rung since anything did */
    double nap;     /* seconds of the next sleep */
    int64_t driven; /* when progress was last made, by weft_clock_nanoseconds */
} weft_mpi;

/* bell.c */
weft_status weft_mpi_bells_init(weft_mpi *mpi, weft_error *error) WEFT_CHECKED; /* collective */
void weft_mpi_bells_fini(weft_mpi *mpi, bool together);
void weft_mpi_ring(weft_mpi *mpi, int32_t peer); /* after something that it may be waiting for */
void weft_mpi_ring_group(weft_mpi *mpi, const weft_group *group);
void weft_mpi_awake(weft_mpi *mpi); /* the next nap is the shortest again */
/* Listen, look for what has arrived, and when nothing has, nap: until this worker's bell rings again, or for 20 us to
 * 500 us, twice as long each time; longer where nothing comes without ringing. */
void weft_mpi_listen(weft_mpi *mpi);
void weft_mpi_nap(weft_mpi *mpi, double deadline);

/* endpoint.c */
/* For tests: as if MPI counts ended at this many bytes. The same on every worker, before the first message. */
void weft_mpi_transport_limit(weft_transport *transport, size_t bytes);

/* drive.c */
weft_status weft_mpi_fail(weft_mpi *mpi, int code, const char *what, weft_error *error); /* marks it broken */
weft_status weft_mpi_drive(weft_mpi *mpi, weft_error *error) WEFT_CHECKED; /* moves what can be moved now */
weft_status weft_mpi_check_stop(const weft_mpi *mpi, weft_error *error) WEFT_CHECKED;
weft_status weft_mpi_test(weft_transport *transport, weft_request index, bool *out_done,
                          weft_error *error) WEFT_CHECKED;
/* Cancels receives that never matched, so that their buffers may be freed. */
void weft_mpi_withdraw(weft_mpi *mpi);

/* message.c */
weft_status weft_mpi_send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                          const void *bytes, size_t count, weft_request *out, weft_error *error) WEFT_CHECKED;
weft_status weft_mpi_receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                             void *bytes, size_t count, weft_request *out, weft_error *error) WEFT_CHECKED;
weft_status weft_mpi_gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                            const size_t *counts, void *out_bytes, weft_request *out, weft_error *error) WEFT_CHECKED;

/* control.c */
weft_status weft_mpi_control_init(weft_mpi *mpi, weft_error *error) WEFT_CHECKED; /* after the communicator was made */
void weft_mpi_control_fini(weft_mpi *mpi);
weft_status weft_mpi_control_drive(weft_mpi *mpi, weft_error *error) WEFT_CHECKED;
weft_status weft_mpi_barrier(weft_transport *transport, double timeout, weft_error *error) WEFT_CHECKED;
void weft_mpi_publish(weft_transport *transport, const char *text);
void weft_mpi_interrogate(weft_transport *transport, double seconds, weft_transport_report *out);
void weft_mpi_stop(weft_transport *transport);
/* Cancels a receive and waits a moment for that; false when it is still under way. Sets it to MPI_REQUEST_NULL if not.
 */
bool weft_mpi_cancel(MPI_Request *receive);

#endif
