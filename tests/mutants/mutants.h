/*
 * Mutation of what is proved: each small wrong done to a subject in turn, undone before the next. A mutant is caught by
 * the proof, or shown to be no wrong at all (implied by what is left); one that is neither has survived, and the proof
 * has a hole. A set (make check-mutants SET=name) is a program of that name that runs its subjects through this.
 */
#ifndef WEFT_TESTS_MUTANTS_H
#define WEFT_TESTS_MUTANTS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Wrongs of one kind. subject: what the set mutates. */
typedef struct mutant_kind {
    const char *name;                                    /* plural, for people */
    uint32_t (*count)(const void *subject);              /* how many there are */
    void (*apply)(void *subject, uint32_t i);            /* does number i */
    void (*undo)(void *subject, uint32_t i);             /* and takes it back */
    bool (*is_implied)(const void *subject, uint32_t i); /* of the mutant as it stands; NULL: none is */
    void (*describe)(const void *subject, uint32_t i, char *out, size_t size); /* of the subject unharmed */
} mutant_kind;

typedef struct mutant_set {
    const mutant_kind *kinds; /* (count) */
    size_t count;
    weft_status (*prove)(const void *subject, weft_error *error); /* anything but WEFT_OK catches */
} mutant_set;

typedef struct mutant_tally {
    uint64_t caught, implied, survived;
} mutant_tally;

/* All mutants of a subject; counts them in tally (kinds). The subject unharmed must be proved. Tells of survivors on
 * standard output, each on a line that begins with `name`. */
void mutants_run(const mutant_set *set, void *subject, const char *name, mutant_tally *tally);

/* A line a kind; whether none survived and there was something to catch of each kind. */
bool mutants_report(const mutant_set *set, const mutant_tally *tally, uint64_t subjects);

#endif
