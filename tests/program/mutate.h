/* Small wrongs done to a correct program. */
#ifndef WEFT_TESTS_PROGRAM_MUTATE_H
#define WEFT_TESTS_PROGRAM_MUTATE_H

#include "build.h"

typedef enum mutation {
    MUTATE_SWAP,       /* two actions of one lane change places; nothing else moves */
    MUTATE_DROP,       /* an action is gone, with the dependencies on it */
    MUTATE_DOUBLE,     /* an action comes twice */
    MUTATE_STAGE,      /* another stage */
    MUTATE_MICROBATCH, /* another micro-batch */
    MUTATE_KIND,       /* another kind */
    MUTATE_EDGE,       /* a dependency is gone */
    MUTATE_MERGE,      /* two slots share a buffer of their rank */
    MUTATE_MESSAGES,   /* two messages change places on one side */
    MUTATE_OVERWRITE,  /* gradients are added to what is old, or overwritten where they are to be added */
    MUTATE_PAGE,       /* a pass works in another buffer */
    MUTATIONS
} mutation;

/* A changed copy; NULL when the program has nothing that can be changed so. */
weft_program *mutate(const weft_program *program, mutation kind, dice *d);

/* One number of one array of the program itself, which has slots, becomes any. */
void mutate_number(weft_program *program, dice *d);

#endif
