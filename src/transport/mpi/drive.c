/* Progress: what MPI has finished becomes finished requests. */
#include "transport/mpi/endpoint.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { REST = 10000 }; /* nanoseconds in which another test need not make progress again */

weft_status weft_mpi_fail(weft_mpi *mpi, int code, const char *what, weft_error *error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    mpi->broken = true;
    MPI_Error_string(code, text, &length);
    FAIL(error, WEFT_FAILED, "mpi: %s: %s", what, text);
}

static bool is_class(int code, int class)
{
    int found = MPI_SUCCESS;
    if (code != MPI_SUCCESS) MPI_Error_class(code, &found);
    return found == class;
}

static bool has_failed(const weft_mpi_request *request)
{
    return request->odd || request->code != MPI_SUCCESS;
}

static void finish_part(weft_mpi *mpi, int index, const MPI_Status *status, int code)
{
    const weft_mpi_part *part = &mpi->parts[index];
    weft_mpi_request *request = &mpi->requests[part->request];
    int count = part->expected;
    if (part->expected >= 0 && code == MPI_SUCCESS) MPI_Get_count(status, MPI_BYTE, &count);
    bool longer = is_class(code, MPI_ERR_TRUNCATE);
    if (longer || count != part->expected) {
        request->odd = true;
        request->odd_peer = part->peer;
        request->odd_expected = part->whole;
        request->odd_count = longer ? -1 : count;
    } else if (code != MPI_SUCCESS && request->code == MPI_SUCCESS) {
        request->code = code;
    }
    request->finished = weft_clock_nanoseconds();
    mpi->expects = false;
    mpi->silent_parts -= part->silent;
    if (part->large) weft_mpi_ring(mpi, part->peer);
    if (--request->open > 0 && !has_failed(request)) return;
    mpi->moved = true;
    weft_mpi_awake(mpi);
}

/* Closes the gaps that finished parts have left; the older ones stay in front. */
static void compact(weft_mpi *mpi)
{
    size_t kept = 0;
    for (size_t i = 0; i < mpi->part_count; i++) {
        if (mpi->handles[i] == MPI_REQUEST_NULL) continue;
        mpi->handles[kept] = mpi->handles[i];
        mpi->parts[kept++] = mpi->parts[i];
    }
    mpi->part_count = kept;
}

static weft_status finish_parts(weft_mpi *mpi, weft_error *error)
{
    if (mpi->part_count == 0) return WEFT_OK;
    int done = 0;
    int code = MPI_Testsome((int)mpi->part_count, mpi->handles, &done, mpi->indices, mpi->statuses);
    bool each = is_class(code, MPI_ERR_IN_STATUS); /* only then is MPI_ERROR of a status written */
    if (code != MPI_SUCCESS && !each) return weft_mpi_fail(mpi, code, "MPI_Testsome", error);
    if (done == MPI_UNDEFINED || done == 0) return WEFT_OK;
    for (int i = 0; i < done; i++) {
        MPI_Request *handle = &mpi->handles[mpi->indices[i]];
        finish_part(mpi, mpi->indices[i], &mpi->statuses[i], each ? mpi->statuses[i].MPI_ERROR : MPI_SUCCESS);
        if (*handle != MPI_REQUEST_NULL) MPI_Request_free(handle); /* some keep a request that failed */
    }
    compact(mpi);
    return WEFT_OK;
}

weft_status weft_mpi_drive(weft_mpi *mpi, weft_error *error)
{
    /* Control first: Open MPI's MPI_Testsome looks at the requests before it makes progress, and not again. */
    TRY(weft_mpi_control_drive(mpi, error));
    TRY(finish_parts(mpi, error));
    mpi->driven = weft_clock_nanoseconds();
    return WEFT_OK;
}

weft_status weft_mpi_check_stop(const weft_mpi *mpi, weft_error *error)
{
    if (mpi->control.stopped_by < 0) return WEFT_OK;
    return weft_transport_fail_stopped(mpi->control.stopped_by, mpi->control.stop_text, error);
}

static weft_status fail_size(weft_mpi *mpi, const weft_mpi_request *request, weft_error *error)
{
    char actual[40] = "a longer message";
    mpi->broken = true;
    if (request->odd_count >= 0 && request->odd_expected > mpi->piece_limit)
        snprintf(actual, sizeof actual, "a message of another size");
    else if (request->odd_count >= 0)
        snprintf(actual, sizeof actual, "%" PRId64, request->odd_count);
    return weft_transport_fail_size(request->odd_peer, request->tag, request->odd_expected, actual, error);
}

static void release(weft_mpi *mpi, weft_request index)
{
    weft_mpi_request *request = &mpi->requests[index];
    if (request->table) {
        weft_mpi_group *group = &mpi->groups[request->group];
        group->spare[group->spare_count++] = request->table;
        request->table = NULL;
    }
    request->busy = false;
    request->next = mpi->spare;
    mpi->spare = index;
}

/* The pieces that did not come yet may never come. What stays under way keeps the request from being used again. */
static weft_status give_up(weft_mpi *mpi, weft_request index, weft_error *error)
{
    const weft_mpi_request *request = &mpi->requests[index];
    for (size_t i = 0; i < mpi->part_count; i++)
        if (mpi->parts[i].request == index && mpi->parts[i].expected >= 0) weft_mpi_cancel(&mpi->handles[i]);
    if (request->odd) return fail_size(mpi, request, error);
    return weft_mpi_fail(mpi, request->code, request->tag == WEFT_TRANSPORT_GATHER ? "a gather" : "a message", error);
}

weft_status weft_mpi_test(weft_transport *transport, weft_request index, bool *out_done, weft_error *error)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    *out_done = false;
    if (index < 0 || (size_t)index >= mpi->request_count || !mpi->requests[index].busy)
        FAIL(error, WEFT_INVALID, "transport: request %" PRId32 " is not under way", index);
    if (mpi->requests[index].open > 0 && weft_clock_nanoseconds() - mpi->driven > REST) TRY(weft_mpi_drive(mpi, error));
    TRY(weft_mpi_check_stop(mpi, error));
    bool failed = has_failed(&mpi->requests[index]);
    if (mpi->requests[index].open > 0 && !failed) return WEFT_OK;
    *out_done = true;
    transport->finished = mpi->requests[index].finished;
    weft_status status = failed ? give_up(mpi, index, error) : WEFT_OK;
    if (mpi->requests[index].open == 0) release(mpi, index);
    return status;
}

void weft_mpi_withdraw(weft_mpi *mpi)
{
    for (size_t i = 0; i < mpi->part_count; i++)
        if (mpi->parts[i].expected >= 0) weft_mpi_cancel(&mpi->handles[i]);
}
