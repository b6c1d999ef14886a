/* The control communicator: barrier, who waits for what, and stops. Its messages are small and never block. */
#include "transport/mpi/endpoint.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONTROL_TAG = 0 };

static const double patience = 0.2; /* seconds for MPI to settle a request that ought to be settled at once */

static weft_status listen(weft_mpi *mpi, weft_error *error)
{
    weft_mpi_control *control = &mpi->control;
    int code = MPI_Irecv(control->in, (int)sizeof *control->in, MPI_BYTE, MPI_ANY_SOURCE, CONTROL_TAG,
                         control->communicator, &control->receive);
    return code == MPI_SUCCESS ? WEFT_OK : weft_mpi_fail(mpi, code, "MPI_Irecv of control messages", error);
}

weft_status weft_mpi_control_init(weft_mpi *mpi, weft_error *error)
{
    weft_mpi_control *control = &mpi->control;
    size_t count = (size_t)mpi->base.size * WEFT_MPI_KINDS;
    TRY(weft_allocate(count, sizeof *control->out, &control->out, error));
    TRY(weft_allocate(count, sizeof *control->sends, &control->sends, error));
    for (size_t i = 0; i < count; i++) control->sends[i] = MPI_REQUEST_NULL;
    TRY(weft_allocate((size_t)mpi->base.size, sizeof *control->heard, &control->heard, error));
    TRY(weft_allocate(1, sizeof *control->in, &control->in, error));
    return listen(mpi, error);
}

bool weft_mpi_cancel(MPI_Request *receive)
{
    int done = 0;
    if (*receive == MPI_REQUEST_NULL) return true;
    MPI_Cancel(receive);
    double deadline = weft_clock_seconds() + patience;
    for (;;) {
        if (MPI_Test(receive, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done) return true;
        if (weft_clock_seconds() > deadline) return false;
        weft_clock_sleep(20e-6);
    }
}

/* Waits until the notes of one kind (WEFT_MPI_KINDS: of all kinds) have left, for so many seconds at most. */
static bool flush(weft_mpi *mpi, int kind, double seconds)
{
    weft_mpi_control *control = &mpi->control;
    double deadline = weft_clock_seconds() + seconds;
    for (;;) {
        int open = 0;
        for (int i = 0; i < mpi->base.size * WEFT_MPI_KINDS; i++) {
            int done = 1;
            if (kind != WEFT_MPI_KINDS && i % WEFT_MPI_KINDS != kind) continue;
            if (control->sends[i] != MPI_REQUEST_NULL) MPI_Test(&control->sends[i], &done, MPI_STATUS_IGNORE);
            open += !done;
        }
        if (open == 0) return true;
        if (weft_clock_seconds() > deadline) return false;
        weft_clock_sleep(100e-6);
    }
}

void weft_mpi_control_fini(weft_mpi *mpi)
{
    weft_mpi_control *control = &mpi->control;
    bool sent = !control->sends || flush(mpi, WEFT_MPI_KINDS, patience);
    bool heard = weft_mpi_cancel(&control->receive);
    /* MPI may still read or write what it has not let go of: that memory stays until the process ends. */
    if (sent) weft_free(control->out);
    if (heard) weft_free(control->in);
    weft_free(control->sends);
    weft_free(control->heard);
}

/* A note that finds the last one of its kind to this peer still under way is dropped: the peer is not listening. */
static void tell(weft_mpi *mpi, int32_t peer, weft_mpi_kind kind, int32_t round)
{
    weft_mpi_control *control = &mpi->control;
    int index = peer * WEFT_MPI_KINDS + (int)kind, free = 1;
    if (control->sends[index] != MPI_REQUEST_NULL) MPI_Test(&control->sends[index], &free, MPI_STATUS_IGNORE);
    if (!free) return;
    weft_mpi_note *note = &control->out[index];
    *note = (weft_mpi_note){.kind = (int32_t)kind, .round = round};
    memcpy(note->text, control->text, sizeof note->text);
    int code =
        MPI_Isend(note, (int)sizeof *note, MPI_BYTE, peer, CONTROL_TAG, control->communicator, &control->sends[index]);
    weft_mpi_ring(mpi, peer);
    if (code == MPI_SUCCESS) return;
    control->sends[index] = MPI_REQUEST_NULL; /* a lost peer: whoever waits for it finds out by its timeout */
    mpi->broken = true;
}

static void tell_others(weft_mpi *mpi, weft_mpi_kind kind, int32_t round)
{
    for (int32_t i = 0; i < mpi->base.size; i++)
        if (i != mpi->base.rank) tell(mpi, i, kind, round);
}

static void hear(weft_mpi *mpi, int32_t peer)
{
    weft_mpi_control *control = &mpi->control;
    weft_mpi_note *note = control->in;
    note->text[sizeof note->text - 1] = '\0';
    bool answers = note->kind == WEFT_MPI_ANSWER && note->round == control->round;
    /* Who asks also tells: all may ask at the same time, and the first to be content does not stay to answer. */
    if (control->asking && (answers || note->kind == WEFT_MPI_QUERY)) {
        control->heard[peer].answered = true;
        memcpy(control->heard[peer].text, note->text, sizeof note->text);
    }
    if (note->kind == WEFT_MPI_QUERY) tell(mpi, peer, WEFT_MPI_ANSWER, note->round);
    if (note->kind != WEFT_MPI_STOP || control->stopped_by >= 0) return;
    control->stopped_by = peer;
    memcpy(control->stop_text, note->text, sizeof note->text);
}

weft_status weft_mpi_control_drive(weft_mpi *mpi, weft_error *error)
{
    for (;;) {
        int done = 0;
        MPI_Status status;
        int code = MPI_Test(&mpi->control.receive, &done, &status);
        if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Test of control messages", error);
        if (!done) return WEFT_OK;
        hear(mpi, status.MPI_SOURCE);
        TRY(listen(mpi, error));
    }
}

static weft_status await_barrier(weft_mpi *mpi, double timeout, weft_error *error)
{
    weft_mpi_control *control = &mpi->control;
    double deadline = weft_clock_seconds() + weft_transport_clamp(timeout);
    for (int done = 0;;) {
        weft_mpi_listen(mpi);
        int code = MPI_Test(&control->barrier, &done, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "barrier", error);
        if (done) return WEFT_OK;
        TRY(weft_mpi_drive(mpi, error));
        TRY(weft_mpi_check_stop(mpi, error));
        if (weft_clock_seconds() >= deadline)
            FAIL(error, WEFT_TIMEOUT, "mpi: barrier: not all of %" PRId32 " workers arrived within %.1f s",
                 mpi->base.size, timeout);
        weft_mpi_nap(mpi, deadline);
    }
}

weft_status weft_mpi_barrier(weft_transport *transport, double timeout, weft_error *error)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    weft_mpi_control *control = &mpi->control;
    TRY(weft_mpi_check_stop(mpi, error));
    int code = MPI_SUCCESS;
    if (control->barrier == MPI_REQUEST_NULL) code = MPI_Ibarrier(control->communicator, &control->barrier);
    if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "barrier", error);
    weft_mpi_awake(mpi);
    mpi->silent_parts++;
    weft_status status = await_barrier(mpi, timeout, error);
    mpi->silent_parts--;
    return status;
}

void weft_mpi_publish(weft_transport *transport, const char *text)
{
    weft_mpi_control *control = &((weft_mpi *)transport)->control;
    snprintf(control->text, sizeof control->text, "%s", text);
}

static bool all_heard(const weft_mpi *mpi)
{
    for (int32_t i = 0; i < mpi->base.size; i++)
        if (i != mpi->base.rank && !mpi->control.heard[i].answered) return false;
    return true;
}

void weft_mpi_interrogate(weft_transport *transport, double seconds, weft_transport_report *out)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    weft_mpi_control *control = &mpi->control;
    double deadline = weft_clock_seconds() + weft_transport_clamp(seconds);
    size_t bytes = (size_t)transport->size * sizeof *out;
    memset(control->heard, 0, bytes);
    control->asking = true;
    control->round++;
    tell_others(mpi, WEFT_MPI_QUERY, control->round);
    weft_mpi_awake(mpi);
    weft_mpi_listen(mpi);
    while (weft_mpi_drive(mpi, NULL) == WEFT_OK && !all_heard(mpi) && weft_clock_seconds() < deadline) {
        weft_mpi_nap(mpi, deadline);
        weft_mpi_listen(mpi);
    }
    control->asking = false;
    control->heard[transport->rank].answered = true;
    memcpy(control->heard[transport->rank].text, control->text, sizeof control->text);
    memcpy(out, control->heard, bytes);
}

void weft_mpi_stop(weft_transport *transport)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    mpi->broken = true;
    tell_others(mpi, WEFT_MPI_STOP, 0);
    flush(mpi, WEFT_MPI_STOP, patience);
}
