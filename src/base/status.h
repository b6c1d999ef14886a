/*
 * Status codes and the error record.
 *
 * A function that can fail returns weft_status and takes a weft_error as its last parameter. The first function
 * that knows the cause fills the record (weft_fail); callers may add a line of context (weft_error_context).
 * The record needs no memory of its own, so running out of memory can be reported too.
 *
 * Owns: nothing.  Lifetime: the caller's.  Threads: one record belongs to one thread at a time.
 */
#ifndef WEFT_BASE_STATUS_H
#define WEFT_BASE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>

#define WEFT_CHECKED __attribute__((warn_unused_result))
#define WEFT_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))

typedef enum weft_status {
    WEFT_OK = 0,
    WEFT_INVALID,   /* the user's mistake: configuration, arguments, files given; exit status 2 */
    WEFT_FAILED,    /* a failure at run time: I/O, lost peer, non-finite loss; exit status 1 */
    WEFT_NO_MEMORY, /* an allocation failed; exit status 1 */
    WEFT_TIMEOUT,   /* nothing moved for the configured time; exit status 1 */
    WEFT_STOPPED,   /* asked to stop by another worker that already failed; its record has the cause */
} weft_status;

enum { WEFT_ERROR_TEXT = 1536 };

typedef struct weft_error {
    weft_status status;
    char text[WEFT_ERROR_TEXT]; /* one line, context in front; control characters become '?' */
} weft_error;

/* Returns status after writing the message; the text is cut at the record's size. A NULL record is allowed. */
weft_status weft_fail(weft_error *error, weft_status status, const char *format, ...) WEFT_PRINTF(3, 4);

/* Puts "context: " in front of the message already there. Returns error->status. */
weft_status weft_error_context(weft_error *error, const char *format, ...) WEFT_PRINTF(2, 3);

/* An empty record: WEFT_OK and no text. */
void weft_error_clear(weft_error *error);

/* 0, 1 or 2: what a program should exit with. */
int weft_status_exit(weft_status status);

/* The only two macros that hide a return. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        weft_status try_status_ = (expression);                                                                        \
        if (try_status_ != WEFT_OK) return try_status_;                                                                \
    } while (0)
#define FAIL(error, status, ...) return weft_fail((error), (status), __VA_ARGS__)

#endif
