#include "data/audit.h"

#include "base/hands.h"

#include <string.h>
#include <sys/resource.h>

enum { LEAST_PRIORITY = 19 };

void weft_audit_init(weft_audit *audit, const weft_corpus *const *corpora, size_t count, int64_t vocabulary)
{
    *audit = (weft_audit){.corpora = corpora, .count = count, .vocabulary = vocabulary};
    for (size_t i = 0; i < count; i++) audit->size += weft_corpus_check_size(corpora[i], vocabulary);
}

static weft_status prepare(weft_audit *audit, weft_error *error)
{
    return weft_allocate(WEFT_CORPUS_CHECK_BYTES, 1, &audit->buffer, error);
}

static weft_status check(weft_audit *audit, weft_error *error)
{
    weft_corpus_check all = {audit->vocabulary, audit->buffer, &audit->stop, &audit->checked, NULL};
    for (size_t i = 0; i < audit->count; i++) TRY(weft_corpus_check_tokens(audit->corpora[i], &all, error));
    return WEFT_OK;
}

weft_status weft_audit_run(weft_audit *audit, weft_error *error)
{
    if (weft_audit_left(audit) == 0) return WEFT_OK;
    TRY(prepare(audit, error));
    weft_status status = check(audit, error);
    weft_free(audit->buffer);
    audit->buffer = NULL;
    return status;
}

static void *audit_main(void *pointer)
{
    weft_audit *audit = pointer;
#ifdef __linux__
    setpriority(PRIO_PROCESS, 0, LEAST_PRIORITY); /* there it is this thread's alone */
#endif
    if (check(audit, &audit->error) != WEFT_OK) atomic_store(&audit->failed, true);
    return NULL;
}

static weft_status make_thread(weft_audit *audit, weft_error *error)
{
    TRY(prepare(audit, error));
    int reason = weft_thread_start(&audit->thread, audit_main, audit);
    if (reason) FAIL(error, WEFT_FAILED, "cannot start the thread that checks the data: %s", strerror(reason));
    audit->running = true;
    return WEFT_OK;
}

void weft_audit_start(weft_audit *audit)
{
    if (audit->running || weft_audit_left(audit) == 0) return;
    if (make_thread(audit, &audit->error) != WEFT_OK) atomic_store(&audit->failed, true);
}

weft_status weft_audit_poll(const weft_audit *audit, weft_error *error)
{
    if (!atomic_load(&audit->failed)) return WEFT_OK;
    *error = audit->error;
    return error->status;
}

uint64_t weft_audit_left(const weft_audit *audit)
{
    return audit->size - atomic_load(&audit->checked);
}

void weft_audit_fini(weft_audit *audit)
{
    atomic_store(&audit->stop, true);
    if (audit->running) pthread_join(audit->thread, NULL);
    audit->running = false;
    weft_free(audit->buffer);
    audit->buffer = NULL;
}
