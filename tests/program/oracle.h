/*
 * Brute force: runs a program event by event (actions begin and end) in a random order, keeping a board of what each
 * buffer holds, and complains when an action reads anything but exactly its own data, when work is missing or done
 * twice, or when nothing can move. It shares no code with lowering or verification.
 */
#ifndef WEFT_TESTS_PROGRAM_ORACLE_H
#define WEFT_TESTS_PROGRAM_ORACLE_H

#include "build.h"

/* What the program should contain at its end. */
typedef struct expectation {
    bool update, norm, tied, metrics;
} expectation;

/* Of what was lowered with these options. */
expectation oracle_expect(const weft_program *program, const weft_lower_options *options);

/* The first complaint, or NULL. Even seeds starve some lanes for as long as anything else can move. */
const char *oracle_run(const weft_program *program, const expectation *expected, uint64_t seed);

#endif
