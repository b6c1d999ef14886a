#include "transport/local/hub.h"

#include "base/clock.h"

#include <string.h>

static weft_status add_block(weft_local *local, weft_error *error)
{
    TRY(weft_grow(&local->table, &local->capacity, local->count + WEFT_LOCAL_BLOCK, sizeof *local->table, error));
    weft_local_request *block = NULL;
    TRY(weft_allocate(WEFT_LOCAL_BLOCK, sizeof *block, &block, error));
    weft_local_box *box = weft_local_box_get(local);
    for (int32_t i = 0; i < WEFT_LOCAL_BLOCK; i++) {
        block[i].index = (int32_t)local->count;
        block[i].owner = local->base.rank;
        local->table[local->count++] = &block[i];
    }
    TRY(weft_local_make_events(local, local->count - WEFT_LOCAL_BLOCK, error));
    pthread_mutex_lock(&box->mutex);
    for (int32_t i = WEFT_LOCAL_BLOCK - 1; i >= 0; i--) {
        block[i].next = box->spare;
        box->spare = &block[i];
    }
    box->spare_count += WEFT_LOCAL_BLOCK;
    pthread_mutex_unlock(&box->mutex);
    return WEFT_OK;
}

weft_status weft_local_reserve(weft_local *local, size_t need, weft_error *error)
{
    weft_local_box *box = weft_local_box_get(local);
    for (;;) {
        /* Only the owner takes, so that what is seen here can only become more. */
        pthread_mutex_lock(&box->mutex);
        size_t spare = box->spare_count;
        pthread_mutex_unlock(&box->mutex);
        if (spare >= need) return WEFT_OK;
        TRY(add_block(local, error));
    }
}

weft_local_request *weft_local_take(weft_local *local)
{
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    weft_local_request *request = box->spare;
    box->spare = request->next;
    box->spare_count--;
    *request = (weft_local_request){.index = request->index,
                                    .owner = request->owner,
                                    .device = local->device,
                                    .event = request->event,
                                    .state = WEFT_LOCAL_PENDING};
    pthread_mutex_unlock(&box->mutex);
    return request;
}

static weft_local_request *unlink_match(weft_local_list *list, const weft_local_request *mine)
{
    weft_local_request *before = NULL;
    for (weft_local_request *r = list->head; r; before = r, r = r->next) {
        if (r->tag != mine->tag || r->sends == mine->sends) continue;
        if (before)
            before->next = r->next;
        else
            list->head = r->next;
        if (list->tail == r) list->tail = before;
        r->linked = false;
        r->next = NULL;
        return r;
    }
    return NULL;
}

static void append(weft_local_list *list, weft_local_request *request)
{
    if (list->tail)
        list->tail->next = request;
    else
        list->head = request;
    list->tail = request;
    request->linked = true;
}

static void unlink_request(weft_local_list *list, weft_local_request *request)
{
    weft_local_request *before = NULL;
    for (weft_local_request *r = list->head; r != request; r = r->next) before = r;
    if (before)
        before->next = request->next;
    else
        list->head = request->next;
    if (list->tail == request) list->tail = before;
    request->linked = false;
}

static int32_t receiver_of(const weft_local_request *request)
{
    return request->sends ? request->peer : request->owner;
}

static weft_local_list *list_of(weft_local_hub *hub, const weft_local_request *request)
{
    return &hub->boxes[receiver_of(request)].from[request->sends ? request->owner : request->peer];
}

/* Both requests belong to this thread alone now: neither is linked. */
static void hand_over(weft_local_hub *hub, weft_local_request *from, weft_local_request *to)
{
    bool fits = from->count == to->count;
    if (fits && (to->borrows || to->stream)) {
        to->source = from->source;
        to->lender = from;
        weft_local_complete(hub, to, WEFT_LOCAL_DONE);
        return;
    }
    if (fits && to->count > 0 && from->source != to->target) memcpy(to->target, from->source, to->count);
    if (!fits) to->odd_count = from->count;
    weft_local_complete(hub, to, fits ? WEFT_LOCAL_DONE : WEFT_LOCAL_MISMATCH);
    weft_local_complete(hub, from, WEFT_LOCAL_DONE);
}

void weft_local_post(weft_local *local, weft_local_request *mine)
{
    weft_local_hub *hub = local->hub;
    weft_local_box *box = &hub->boxes[receiver_of(mine)];
    weft_local_list *list = list_of(hub, mine);
    pthread_mutex_lock(&box->mutex);
    weft_local_request *other = unlink_match(list, mine);
    if (!other) append(list, mine);
    pthread_mutex_unlock(&box->mutex);
    if (!other) return; /* the other side finds it, perhaps at once: mine is not ours to touch any more */
    if (mine->sends)
        hand_over(hub, mine, other);
    else
        hand_over(hub, other, mine);
}

void weft_local_spare(weft_local_box *box, weft_local_request *request)
{
    request->state = WEFT_LOCAL_FREE;
    request->next = box->spare;
    box->spare = request;
    box->spare_count++;
}

/* A part of a gather is done: its request goes back to the spare ones, one that copied on a device later. Called with
 * the owner's box held. */
static void finish_part(weft_local_box *box, weft_local_request *part, weft_local_state state)
{
    weft_local_request *whole = part->parent;
    whole->remaining--;
    if (state == WEFT_LOCAL_MISMATCH) {
        whole->odd_peer = part->peer;
        whole->odd_expected = part->count;
        whole->odd_count = part->odd_count;
    }
    if (state == WEFT_LOCAL_DONE && part->stream && !part->sends)
        part->state = WEFT_LOCAL_WATCHED;
    else
        weft_local_spare(box, part);
}

void weft_local_complete(weft_local_hub *hub, weft_local_request *request, weft_local_state state)
{
    weft_local_box *box = &hub->boxes[request->owner];
    int64_t now = weft_clock_nanoseconds();
    pthread_mutex_lock(&box->mutex);
    weft_local_request *whole = request->parent;
    if (whole && (request->lender || request->copy)) {
        request->state = state;
        request->next = whole->ready;
        whole->ready = request;
    } else if (whole) {
        finish_part(box, request, state);
        if (whole->remaining == 0) whole->state = whole->odd_peer >= 0 ? WEFT_LOCAL_MISMATCH : WEFT_LOCAL_DONE;
        whole->finished = now;
    } else {
        request->odd_peer = request->peer;
        request->odd_expected = request->count;
        request->state = state;
        request->finished = now;
    }
    if (!whole || whole->ready || whole->remaining == 0) box->events++;
    pthread_cond_signal(&box->moved);
    pthread_mutex_unlock(&box->mutex);
}

static weft_local_request *pop_ready(weft_local_box *box, weft_local_request *whole)
{
    pthread_mutex_lock(&box->mutex);
    weft_local_request *part = whole->ready;
    if (part) whole->ready = part->next;
    pthread_mutex_unlock(&box->mutex);
    return part;
}

void weft_local_serve(weft_local *local, weft_local_request *receive, weft_local_request *lender)
{
    if (receive->stream) weft_local_copy_peer(receive, lender);
    weft_local_complete(local->hub, lender, WEFT_LOCAL_DONE);
}

void weft_local_follow(weft_local *local, const weft_local_request *send)
{
    weft_local_request *copy = send->copy;
    weft_local_box *box = &local->hub->boxes[copy->owner];
    weft_local_follow_copy(send);
    pthread_mutex_lock(&box->mutex);
    weft_local_spare(box, copy);
    pthread_cond_signal(&box->moved); /* its owner may be leaving */
    pthread_mutex_unlock(&box->mutex);
}

static void copy_part(weft_local *local, weft_local_request *part)
{
    weft_local_request *lender = part->lender;
    if (!part->stream && part->count > 0) memcpy(part->target, part->source, part->count);
    part->lender = NULL;
    weft_local_complete(local->hub, part, WEFT_LOCAL_DONE);
    weft_local_serve(local, part, lender);
}

static void follow_part(weft_local *local, weft_local_request *part)
{
    weft_local_follow(local, part);
    part->copy = NULL;
    weft_local_complete(local->hub, part, WEFT_LOCAL_DONE);
}

void weft_local_copy_ready(weft_local *local, weft_local_request *whole)
{
    weft_local_box *box = weft_local_box_get(local);
    for (weft_local_request *part = pop_ready(box, whole); part; part = pop_ready(box, whole)) {
        if (part->sends)
            follow_part(local, part);
        else
            copy_part(local, part);
    }
}

static void withdraw_one(weft_local_hub *hub, weft_local_request *request)
{
    weft_local_box *box = &hub->boxes[receiver_of(request)];
    pthread_mutex_lock(&box->mutex);
    bool mine = request->linked;
    if (mine) unlink_request(list_of(hub, request), request);
    pthread_mutex_unlock(&box->mutex);
    if (mine) return;
    /* Not on a list and not done: another worker copies from or to its buffer at this moment, or has borrowed it. */
    box = &hub->boxes[request->owner];
    pthread_mutex_lock(&box->mutex);
    while (request->state == WEFT_LOCAL_PENDING) pthread_cond_wait(&box->moved, &box->mutex);
    pthread_mutex_unlock(&box->mutex);
}

static bool is_pending_message(weft_local_box *box, const weft_local_request *request)
{
    pthread_mutex_lock(&box->mutex);
    bool pending = request->state == WEFT_LOCAL_PENDING && request->remaining == 0;
    pthread_mutex_unlock(&box->mutex);
    return pending;
}

/* The send that a borrow keeps from being done, or NULL. */
static weft_local_request *take_lender(weft_local_box *box, weft_local_request *request)
{
    pthread_mutex_lock(&box->mutex);
    bool holds = request->state == WEFT_LOCAL_DONE || request->state == WEFT_LOCAL_HELD;
    weft_local_request *lender = holds ? request->lender : NULL;
    request->lender = NULL;
    pthread_mutex_unlock(&box->mutex);
    return lender;
}

/* A send whose bytes were copied on a device, as its owner has not seen yet. */
static bool is_copied(weft_local_box *box, const weft_local_request *request)
{
    pthread_mutex_lock(&box->mutex);
    bool copied = request->state == WEFT_LOCAL_DONE && request->copy;
    pthread_mutex_unlock(&box->mutex);
    return copied;
}

static bool gets_address(const weft_local_request *request)
{
    return request->borrows || (request->stream && !request->sends);
}

/* lent: what gets the address of bytes, else what gives them. */
static void withdraw_all(weft_local *local, bool lent)
{
    weft_local_box *box = weft_local_box_get(local);
    for (size_t i = 0; i < local->count; i++) {
        weft_local_request *request = local->table[i];
        if (gets_address(request) != lent) continue;
        if (is_pending_message(box, request)) withdraw_one(local->hub, request);
        weft_local_request *lender = take_lender(box, request);
        if (lender) weft_local_complete(local->hub, lender, WEFT_LOCAL_DONE);
        if (is_copied(box, request)) weft_local_follow(local, request);
    }
}

/* Until the senders have seen all copies that this worker has made. */
static void await_senders(weft_local *local)
{
    weft_local_box *box = weft_local_box_get(local);
    pthread_mutex_lock(&box->mutex);
    for (size_t i = 0; i < local->count; i++)
        while (local->table[i]->state == WEFT_LOCAL_WATCHED) pthread_cond_wait(&box->moved, &box->mutex);
    pthread_mutex_unlock(&box->mutex);
}

void weft_local_withdraw(weft_local *local)
{
    weft_local_box *box = weft_local_box_get(local);
    withdraw_all(local, true); /* first: of two workers that leave, neither waits for what the other still holds */
    withdraw_all(local, false);
    await_senders(local);
    pthread_mutex_lock(&box->mutex);
    box->spare = NULL;
    box->spare_count = 0;
    pthread_mutex_unlock(&box->mutex);
    weft_local_destroy_events(local);
    for (size_t i = 0; i < local->count; i += WEFT_LOCAL_BLOCK) weft_free(local->table[i]);
    weft_free(local->table);
}
